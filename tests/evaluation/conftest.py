"""A tiny generator, random pictures as its data, and stand-ins for the networks that judge."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from anycost.architecture import ArchitectureSpace
from anycost.configuration.schema import DataConfig
from anycost.evaluation.planning import Plan
from anycost.evaluation.progress import Meter
from anycost.evaluation.reference import Reference
from anycost.evaluation.subjects import GeneratorSubject
from anycost.metrics import measures
from anycost.metrics.features import PooledFeatures
from anycost.metrics.measures import build_measures
from anycost.metrics.protocols import MetricProtocol, in_training
from anycost.metrics.table import PROTOCOLS
from anycost.networks.generator import Generator
from anycost.networks.perceptual import FeatureDistance, PerceptualDistance
from anycost.randomness import normal

SIDE = 16


class Pooling(nn.Module):
    """The embedded network's interface over average pooling."""

    identity, feature_dimension = "pooling", 12

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def features(self, x: Tensor) -> list[Tensor]:
        return [nn.functional.adaptive_avg_pool2d(x, 4) * self.scale]

    def pooled(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 2).flatten(1) * self.scale


class NoiseSource:
    """Random pictures that are drawn, and how many of them were."""

    drawn = 0

    def __init__(self, size: int = 100) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def fingerprint(self) -> str:
        return f"noise-{self.size}"

    def render(self, indices: Sequence[int], resolution: int) -> Tensor:
        self.drawn += len(indices)
        return (normal(0, "noise", indices, (3, resolution, resolution)) * 60 + 128).clamp(0, 255).to(torch.uint8)


@pytest.fixture(autouse=True)
def _judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "feature_extractor", lambda name, device, resize: PooledFeatures(Pooling()))
    monkeypatch.setattr(measures, "perceptual_distance", lambda name: PerceptualDistance(FeatureDistance(Pooling())))


@pytest.fixture(scope="session")
def generator() -> Generator:
    torch.manual_seed(0)
    space = ArchitectureSpace(SIDE, multiplier=0.01, channel_cap=16, num_resolutions=2)
    return Generator(space, latent_dim=8, mapping_layers=2).eval().requires_grad_(False)


@pytest.fixture
def source() -> NoiseSource:
    return NoiseSource()


@pytest.fixture
def quiet() -> Meter:
    return Meter(quiet=True)


def protocol(name: str) -> MetricProtocol:
    """Of the table, or as in training: `frechet20`, `consistency12`."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    kind = name.rstrip("0123456789")
    return in_training(kind, "embedded", "embedded", int(name.removeprefix(kind)))


@pytest.fixture
def planned(generator: Generator, source: NoiseSource, tmp_path: Path) -> Callable[..., Plan]:
    """`planned(metrics, architectures, ...)`: the plan of these; `identity` is that of the weights."""

    def plan(
        metrics: Sequence[str] = ("frechet20", "consistency12"),
        architectures: Sequence[str] = ("full", "0.5", "full@8"),
        identity: str = "weights-a",
        **more: Any,
    ) -> Plan:
        space = generator.space
        subject = GeneratorSubject(
            generator, "weights=a", identity, 5000, {text: space.parse(text) for text in architectures}
        )
        reference = Reference(source, DataConfig(name="noise", resolution=SIDE), tmp_path / "cache")
        built = build_measures([protocol(name) for name in metrics])
        return Plan(subject, built, reference, reference.identity, **{"batch_size": 3, **more})

    return plan
