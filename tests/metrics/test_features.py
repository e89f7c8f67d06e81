"""Feature extractors: the real Inception loading code, and the embedded network's pooled features."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from anycost.errors import UserError
from anycost.metrics.features import PooledFeatures, feature_extractor
from anycost.networks.published import INCEPTION


class Untrained(FeatureExtractorInceptionV3):
    """The real network with random weights, to make a file of the real layout."""

    def load_state_dict(self, state_dict: dict, *_: object, **__: object) -> None:
        del state_dict


@pytest.fixture
def inception(tmp_path: Path, place: Callable) -> FeatureExtractorInceptionV3:
    torch.save({}, tmp_path / "nothing.pth")
    torch.manual_seed(0)
    network = Untrained("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(tmp_path / "nothing.pth"))
    place("anycost.metrics.features.INCEPTION", INCEPTION, network.state_dict())
    return network


def test_inception_loads_its_weights_and_sees_saved_pixels(inception: FeatureExtractorInceptionV3) -> None:
    extractor = feature_extractor("inception")
    saved = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    features = extractor(saved.float() / 127.5 - 1)
    assert features.shape == (2, extractor.dimension)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, inception(saved)[0])


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
