"""What the tests of the networks share: one thread, the fill rule of the reference values, small spaces."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from anycost.architecture import ArchitectureSpace

settings.register_profile("networks", deadline=None, max_examples=15, derandomize=True)
settings.load_profile("networks")


@pytest.fixture(autouse=True)
def _quiet(quiet_torch: None) -> None:
    """Every test here."""


def _pattern(*shape: int) -> Tensor:
    """H(n) = ((37 i^2 + 11 i) mod 101) / 50 - 1 for i = 1..n, row-major in `shape`, float64."""
    i = torch.arange(1, torch.Size(shape).numel() + 1)
    return (((37 * i * i + 11 * i) % 101).double() / 50 - 1).reshape(shape)


def _generator_value(name: str, tensor: Tensor) -> Tensor:
    h = _pattern(*tensor.shape)
    if name.startswith("mapping."):
        return 100 * h if name.endswith("weight") else 10 * h
    if name.endswith("modulation.bias"):
        return 1 + 0.1 * h
    if name.endswith("bias"):
        return 0.1 * h
    return torch.full_like(h, 0.05) if name.endswith("noise_strength") else h


def _discriminator_value(name: str, tensor: Tensor) -> Tensor:
    h = _pattern(*tensor.shape)
    return 0.1 * h if "condition" in name or name.endswith("bias") else h


@torch.no_grad()
def _fill(network: nn.Module, value: Callable[[str, Tensor], Tensor]) -> nn.Module:
    network = network.double()
    state = network.state_dict()
    network.load_state_dict({name: value(name, tensor) for name, tensor in state.items()})
    return network


@pytest.fixture
def pattern() -> Callable[..., Tensor]:
    return _pattern


@pytest.fixture
def fill_generator() -> Callable[[nn.Module], nn.Module]:
    """Give a generator the weights of the reference values, in float64."""
    return lambda network: _fill(network, _generator_value)


@pytest.fixture
def fill_discriminator() -> Callable[[nn.Module], nn.Module]:
    """Give a discriminator the weights of the reference values, in float64."""
    return lambda network: _fill(network, _discriminator_value)


@pytest.fixture
def reference_space() -> ArchitectureSpace:
    """The space of the reference values: 32 px, sixteen channels everywhere."""
    return ArchitectureSpace(resolution=32, multiplier=2, channel_cap=16, num_resolutions=2)
