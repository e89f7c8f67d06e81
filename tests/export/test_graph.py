"""The module that is exported renders what the generator defines, for every architecture, input and scalar."""

import random
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from anycost.errors import UserError
from anycost.export.graph import LATENTS, build_graph, example_inputs
from anycost.export.subject import Subject
from anycost.networks.generator import Generator


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.integers(0, 10**6), st.sampled_from([16, 32]), st.sampled_from(LATENTS), st.integers(1, 3),
    st.floats(-1, 3), st.floats(0, 1.5),
)  # fmt: skip
def test_graph_renders_what_the_generator_defines(
    generator: Generator, truth: Callable[..., Tensor], seed: int, resolution: int, latents_in: str, batch: int,
    strength: float, psi: float,
) -> None:  # fmt: skip
    architecture = generator.space.sample(random.Random(seed), "flexible", resolution)
    name, *scalars = example_inputs(generator, architecture, latents_in, batch)
    shape = example_inputs(generator, architecture, latents_in, batch)[name].shape
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    values = {"noise_strength": torch.tensor(strength), "truncation": torch.tensor(psi)}
    image = build_graph(generator, architecture, latents_in)(latents, *(values[scalar] for scalar in scalars))
    expected = truth(latents, architecture, latents_in, strength, psi if latents_in == "z" else 1.0)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("latents_in", LATENTS)
def test_the_generator_stays_as_it_is(generator: Generator, latents_in: str) -> None:
    training = Generator(generator.space, latent_dim=16, mapping_layers=2).train()
    build_graph(training, training.space.full(), latents_in)
    assert all(module.training for module in training.modules())
    assert all(parameter.requires_grad for parameter in training.parameters())


def test_the_reference_is_the_generator_itself(
    generator: Generator, truth: Callable[..., Tensor], subject_of: Callable[..., Subject]
) -> None:
    for latents_in in LATENTS:
        subject = subject_of("0.5@16", latents_in)
        inputs = subject.inputs(range(4, 7), 0.5, 0.7)
        psi = 0.7 if latents_in == "z" else 1.0
        expected = truth(next(iter(inputs.values())), subject.architecture, latents_in, 0.5, psi)
        torch.testing.assert_close(subject.expected(inputs).double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("damage", [2e-4, torch.nan])
def test_what_differs_is_refused(subject_of: Callable[..., Subject], damage: float) -> None:
    subject = subject_of("0.25@16", "w_plus", 2)

    def damaged(inputs: dict[str, Tensor]) -> Tensor:
        image = subject.expected(inputs)
        image[-1, 2, 5, 3] += damage if inputs["noise_strength"] == 0 else 0
        return image

    assert subject.check(subject.expected) == 0
    with pytest.raises(UserError, match=r"0\.25@16 differs from the plain generator"):
        subject.check(damaged)


def test_the_check_tells_styles_and_pictures_apart(subject_of: Callable[..., Subject]) -> None:
    """A file that takes the style of another layer, or all pictures for the first, would be found out."""
    layers = subject_of("0.25@16", "w_plus", 1)
    batch = subject_of("0.25@16", "w", 3)
    with pytest.raises(UserError):
        layers.check(lambda inputs: layers.expected(inputs | {"w": inputs["w"].roll(1, 1)}))
    with pytest.raises(UserError):
        batch.check(lambda inputs: batch.expected(inputs | {"w": inputs["w"][:1].expand(3, -1)}))
