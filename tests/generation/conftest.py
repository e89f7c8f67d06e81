"""A tiny generator with noise that shows, and its renderer."""

import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.networks.generator import Generator
from anycost.runtime import Renderer


@pytest.fixture(scope="module")
def generator() -> Generator:
    """32 px, 8 styles of 16 numbers, with a truncation mean of its own."""
    torch.manual_seed(0)
    generator = Generator(ArchitectureSpace(32, 0.125, 64, 3), latent_dim=16, mapping_layers=2)
    for layer in generator.layers:
        torch.nn.init.constant_(layer.noise_strength, 0.3)
    generator.truncation_mean = torch.randn(16)
    return generator.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def renderer(generator: Generator) -> Renderer:
    return Renderer(generator, torch.float32)
