"""The portable form renders what the frozen one renders, and can be traced with a batch of any size."""

import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.networks.generator import Generator
from anycost.runtime import PortableGenerator, freeze

SPACE = ArchitectureSpace(32, 0.125, 64, 3)


@pytest.mark.parametrize("text", ["full", "0.25@16", "0.5"])
def test_renders_what_the_frozen_one_renders(generator: Generator, text: str) -> None:
    architecture = SPACE.parse(text)
    portable, frozen = PortableGenerator(generator, architecture), freeze(generator, architecture, "float32")
    w_plus = torch.randn(3, frozen.num_styles, 16)
    for strength, noise in ((1.0, "const"), (0.0, "none")):
        torch.testing.assert_close(
            portable(w_plus, torch.tensor(strength)), frozen(w_plus, noise), rtol=1e-5, atol=1e-4
        )
    half = [0.5 * layer.noise for layer in generator.styled_layers]
    torch.testing.assert_close(portable(w_plus, torch.tensor(0.5)), frozen(w_plus, half), rtol=1e-5, atol=1e-4)


def test_a_traced_one_takes_any_batch(generator: Generator) -> None:
    portable = PortableGenerator(generator, SPACE.uniform(0.5, 16))
    shapes = {"w_plus": {0: torch.export.Dim("batch")}, "noise_strength": None}
    program = torch.export.export(portable, portable.example(2), dynamic_shapes=shapes)
    w_plus, one = torch.randn(5, portable.num_styles, 16), torch.ones(())
    torch.testing.assert_close(program.module()(w_plus, one), portable(w_plus, one))
