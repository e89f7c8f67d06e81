"""A stand-in for the embedded network, and published weights of the real layout with random content."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models import resnet50, vgg16

from anycost.networks.published import ATTRIBUTE_PREDICTOR, INCEPTION, VGG16, PublishedWeights


class StandIn(nn.Module):
    """Two strided convolutions with the interface of the embedded network."""

    identity = "stand-in"
    feature_dimension = 12

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1)

    def features(self, x: Tensor) -> list[Tensor]:
        low = self.first(x).relu()
        return [low, self.second(low).relu()]

    def pooled(self, x: Tensor) -> Tensor:
        return self.features(x)[-1].mean((2, 3))


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache: the folder of checkpoints."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for weights in (INCEPTION, VGG16, ATTRIBUTE_PREDICTOR):
        if weights.variable:
            monkeypatch.delenv(weights.variable, raising=False)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def place(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, PublishedWeights, dict], Path]:
    """Save a state dict where `anycost.networks.<module>.<weights>` is looked for, and expect its hash."""

    def save(target: str, weights: PublishedWeights, state: dict) -> Path:
        path = hub / weights.file
        torch.save(state, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(target, replace(weights, sha256_prefix=digest[:8]))
        return path

    return save


class Untrained(FeatureExtractorInceptionV3):
    """The real network with random weights, to make a file of the real layout."""

    def load_state_dict(self, state_dict: dict, *_: object, **__: object) -> None:
        del state_dict


@pytest.fixture(scope="session")
def untrained_inception(tmp_path_factory: pytest.TempPathFactory) -> FeatureExtractorInceptionV3:
    """The real network of random weights; it gives the pooled features and the logits without bias."""
    nothing = tmp_path_factory.mktemp("inception") / "nothing.pth"
    torch.save({}, nothing)
    torch.manual_seed(0)
    wanted = ["2048", "logits_unbiased"]
    return Untrained("inception-v3-compat", wanted, feature_extractor_weights_path=str(nothing))


@pytest.fixture
def inception(untrained_inception: FeatureExtractorInceptionV3, place: Callable) -> FeatureExtractorInceptionV3:
    """Its weights lie where the published ones are looked for."""
    place("anycost.metrics.features.INCEPTION", INCEPTION, untrained_inception.state_dict())
    return untrained_inception


@pytest.fixture
def vgg_state() -> dict[str, Tensor]:
    """A state dict of VGG-16's layout; the weights of its dense layers repeat one row (a small file)."""
    with torch.device("meta"):
        layout = vgg16().state_dict()
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in layout.items():
        if name.startswith("classifier") and tensor.dim() == 2:
            state[name] = (torch.randn(1, tensor.shape[1], generator=generator) / 30).expand(tensor.shape)
        else:
            state[name] = torch.randn(tensor.shape, generator=generator) / max(tensor[0].numel(), 1) ** 0.5
    return state


@pytest.fixture
def untrained_resnet() -> nn.Module:
    """What the official attribute predictor is: a ResNet-50 with eighty outputs."""
    torch.manual_seed(0)
    return resnet50(num_classes=80).eval()


@pytest.fixture
def predictor(untrained_resnet: nn.Module, hub: Path) -> nn.Module:
    """Its weights lie where the official ones are looked for."""
    torch.save({"state_dict": untrained_resnet.state_dict()}, hub / ATTRIBUTE_PREDICTOR.file)
    return untrained_resnet


@pytest.fixture
def vgg(vgg_state: dict[str, Tensor], place: Callable) -> Path:
    """The file of VGG-16 that LPIPS and the features look for."""
    place("anycost.networks.perceptual.VGG16", VGG16, vgg_state)
    return place("anycost.metrics.features.VGG16", VGG16, vgg_state)
