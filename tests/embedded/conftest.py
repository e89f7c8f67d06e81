"""Contents that the embedded network is asked about, and the shipped network."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from anycost.data.faces import FaceSource
from anycost.data.textures import draw_textures
from anycost.networks.embedded import EmbeddedNetwork
from anycost.randomness import derive_seed, torch_generator

UNSEEN = derive_seed(12345, "tests")


def faces(count: int, side: int) -> Tensor:
    drawn = FaceSource(count, UNSEEN).render(range(count), max(side, 16)).float() / 127.5 - 1
    return F.interpolate(drawn, size=(side, side), mode="area")


def textures(count: int, side: int) -> Tensor:
    return draw_textures(UNSEEN, range(count), side)[0] * 2 - 1


def leaves(count: int, side: int) -> Tensor:
    """Like photographs in their statistics: opaque discs of all sizes over each other, each with a slope of light."""
    generator = torch_generator(UNSEEN, "leaves")
    y, x = torch.meshgrid(*[(torch.arange(side) + 0.5) / side] * 2, indexing="ij")
    images = torch.zeros(count, 3, side, side)
    for _ in range(60):
        u = torch.rand(count, 8, 1, 1, generator=generator)
        radius = 0.04 / (u[:, 0] + 0.1)
        cover = ((x - u[:, 1]) ** 2 + (y - u[:, 2]) ** 2 < radius**2)[:, None]
        light = 1 + 0.6 * (u[:, 3] - 0.5) * (x - y)
        images = torch.where(cover, u[:, 4:7] * light[:, None], images)
    return images.clamp(0, 1) * 2 - 1


CONTENTS: dict[str, Callable[[int, int], Tensor]] = {"faces": faces, "textures": textures, "leaves": leaves}


@pytest.fixture(params=CONTENTS)
def content(request: pytest.FixtureRequest) -> Callable[[int, int], Tensor]:
    """`content(count, side)` -> float `[count, 3, side, side]` in [-1, 1]."""
    return CONTENTS[request.param]


@pytest.fixture(scope="session")
def contents() -> dict[str, Callable[[int, int], Tensor]]:
    return CONTENTS


@pytest.fixture(scope="session")
def network() -> EmbeddedNetwork:
    """The network in the package."""
    return EmbeddedNetwork.shipped()
