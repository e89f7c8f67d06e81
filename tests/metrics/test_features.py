"""Feature extractors: the real Inception loading code, its two ways of resizing, and the embedded network."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16

from anycost.errors import UserError
from anycost.metrics.features import InceptionFeatures, PooledFeatures, feature_extractor, full_precision
from anycost.metrics.protocols import PYTORCH_299


def saved(side: int = 32, count: int = 2) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_inception_loads_its_weights_and_sees_saved_pixels(inception: FeatureExtractorInceptionV3) -> None:
    extractor = feature_extractor("inception")
    features = extractor(saved().float() / 127.5 - 1)
    assert features.shape == (2, extractor.dimension)
    assert features.dtype == torch.float32
    expected, logits = inception(saved())
    torch.testing.assert_close(features, expected)
    assert isinstance(extractor, InceptionFeatures)
    torch.testing.assert_close(extractor.logits(features), logits)


def test_the_official_way_resizes_floats_as_pytorch_does(inception: FeatureExtractorInceptionV3) -> None:
    """[-1, 1] floats reach the network as they are; NVIDIA's pixels reach it as (u8 - 128) / 128."""
    extractor = feature_extractor("inception", resize=PYTORCH_299)
    images = torch.randn(1, 3, 299, 299, generator=torch.Generator().manual_seed(2)) * 0.5
    pixels = (images.clamp(-1, 1) * 128 + 128).clamp(0, 255).to(torch.uint8)
    as_network_sees_them = (pixels.float() - 128) / 128
    torch.testing.assert_close(extractor(as_network_sees_them), inception(pixels)[0], rtol=1e-4, atol=1e-5)
    small = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    enlarged = F.interpolate(small.clamp(-1, 1), (299, 299), mode="bilinear", align_corners=False)
    torch.testing.assert_close(extractor(small), extractor(enlarged))
    assert extractor.identity != feature_extractor("inception").identity


def test_vgg_features_are_those_of_torch_fidelity(vgg: Path) -> None:
    extractor = feature_extractor("vgg16")
    theirs = FeatureExtractorVGG16("vgg16", ["fc2_relu"], feature_extractor_weights_path=str(vgg))
    expected = theirs(saved())[0]
    assert expected.shape == (2, extractor.dimension)
    assert expected.std() > 0
    torch.testing.assert_close(extractor(saved().float() / 127.5 - 1), expected, rtol=1e-4, atol=1e-5)


def test_embedded_features_are_clamped_and_frozen(stand_in: nn.Module) -> None:
    extractor = PooledFeatures(stand_in)
    images = torch.randn(3, 3, 32, 32, requires_grad=True) * 2
    features = extractor(images)
    assert features.shape == (3, 12)
    assert not features.requires_grad
    torch.testing.assert_close(features, stand_in.pooled(images.clamp(-1, 1)).detach())


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="features=dino"):
        feature_extractor("dino")


def test_networks_judge_without_tf32_and_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool, torch.dtype]] = []

    def look(module: Callable, images: tuple[Tensor]) -> None:
        product = images[0].flatten(1) @ images[0].flatten(1).T
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, product.dtype))

    network = nn.Identity()
    network.register_forward_pre_hook(look)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(torch.ones(1, 3))
        with full_precision("cpu"):
            network(torch.ones(1, 3))
    assert seen == [(True, False, torch.bfloat16), (False, False, torch.float32)]
    assert torch.backends.cudnn.allow_tf32
