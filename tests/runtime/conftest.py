"""What the tests of the runtime share: a small generator of lively weights, its plain definition, strips everywhere."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.benchmarks.plain_generator import PlainGenerator
from anycost.networks.generator import Generator
from anycost.runtime import shared, streaming

settings.register_profile("runtime", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("runtime")

SPACE = ArchitectureSpace(32, 0.125, 64, 3)


@pytest.fixture(autouse=True)
def _quiet(quiet_torch: None) -> None:
    """Every test here."""


@pytest.fixture(scope="session")
def generator() -> Generator:
    """Random weights, with biases and noise that count."""
    draws = torch.Generator().manual_seed(0)
    made = Generator(SPACE, latent_dim=16, mapping_layers=2).eval().requires_grad_(False)
    for name, parameter in made.named_parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=draws))
        if name.endswith("noise_strength"):
            parameter.mul_(0.3)
        if name.endswith("modulation.bias"):
            parameter.mul_(0.3).add_(1)
    return made


@pytest.fixture(scope="session")
def reference(generator: Generator) -> Callable[..., Tensor]:
    """The plain definition in float64: grouped convolutions over modulated weights."""
    plain = PlainGenerator(SPACE.resolution, SPACE.multiplier, SPACE.channel_cap, latent_dim=16, mapping_layers=2)
    plain.load_from(generator)
    plain.double().requires_grad_(False)

    def render(w_plus: Tensor, architecture: Architecture, noise: object = "const") -> Tensor:
        if noise == "none":
            noise = [torch.zeros(1, *shape) for shape in generator.noise_shapes()]
        images = plain(w_plus.double(), architecture.channels, "w", noise=noise, resolution=architecture.resolution)
        return images[architecture.resolution]

    return render


@pytest.fixture(params=["at once", "in strips"])
def levels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How all levels above 4 px run: at once, as small images do, or in strips of 8 rows, as large ones do."""
    if request.param == "in strips":
        monkeypatch.setattr(shared, "STREAMED_FROM", 8)
        monkeypatch.setattr(streaming, "STRIP_BYTES", 1)
    return request.param
