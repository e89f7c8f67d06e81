"""A small space with its prices, synthetic distances that reward every channel differently, and a tiny generator."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.networks.generator import Generator
from anycost.networks.perceptual import FeatureDistance, PerceptualDistance
from anycost.pricing.price_list import PriceList
from anycost.randomness import python_random
from anycost.search.archive import Distances

SMALL = ArchitectureSpace(32, 0.125, 64, 3)  # 154 architectures


class TwoLayers(nn.Module):
    """Two strided convolutions with the interface of the embedded network."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1)

    def features(self, x: Tensor) -> list[Tensor]:
        low = self.first(x).relu()
        return [low, self.second(low).relu()]


@pytest.fixture(scope="session")
def perceptual() -> PerceptualDistance:
    return PerceptualDistance(FeatureDistance(TwoLayers()))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def generator() -> Generator:
    """153 architectures at 8 and 16 px."""
    torch.manual_seed(0)
    return Generator(ArchitectureSpace(16, 0.0625, 64, 2), 16, 1).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def space() -> ArchitectureSpace:
    return SMALL


@pytest.fixture(scope="session")
def prices() -> PriceList:
    return PriceList(SMALL, latent_dim=16, mapping_layers=1)


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., Distances]:
    """Make distances: what every missing channel costs is drawn per seed, neighbours interact, resolution counts."""

    def make(space: ArchitectureSpace, seed: int = 0) -> Distances:
        rng = python_random(seed, "synthetic")
        weights = [rng.random() ** 2 for _ in range(space.num_points)]
        step = 0.5 + rng.random()

        def distances(architectures: Sequence[Architecture]) -> list[float]:
            values = []
            for one in architectures:
                kept = [count / full for count, full in zip(one.key[1], space.full_channels, strict=False)]
                loss = sum(weight * (1 - share) for weight, share in zip(weights, kept, strict=False))
                loss += sum((1 - a) * (1 - b) for a, b in pairwise(kept)) / 2
                values.append(loss + step * (space.resolution / one.resolution - 1))
            return values

        return distances

    return make
