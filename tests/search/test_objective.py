"""The objective equals its definition, and no value depends on who is judged with whom."""

import copy

import pytest
import torch
import torch.nn.functional as F

from anycost.architecture import Architecture
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.networks.perceptual import PerceptualDistance
from anycost.sampling import sample
from anycost.search.objective import FIRST_SEED, Objective


def reference(
    generator: Generator, perceptual: PerceptualDistance, architecture: Architecture, latents: int, truncation: float
) -> float:
    """One latent after the other, by the public way to make pictures."""
    values = []
    for seed in range(FIRST_SEED, FIRST_SEED + latents):
        full, own = (
            next(sample(generator, one, [seed], 1, noise="const", truncation=truncation)).images
            for one in (generator.space.full(), architecture)
        )
        if own.shape[-1] < full.shape[-1]:
            own = F.interpolate(own, full.shape[-2:], mode="bilinear")
        values.append(perceptual(own, full).double().item())
    return sum(values) / latents


@pytest.mark.parametrize("truncation", [1.0, 0.5])
@pytest.mark.parametrize("text", ["0.5", "0.25@8", "full@8"])
def test_it_equals_its_definition(
    text: str, truncation: float, generator: Generator, perceptual: PerceptualDistance
) -> None:
    objective = Objective(generator, perceptual, "stand-in", latents=5, truncation=truncation, batch_size=2)
    architecture = generator.space.parse(text)
    (found,) = objective.distances([architecture])
    assert found == pytest.approx(reference(generator, perceptual, architecture, 5, truncation), rel=1e-5)
    assert found > 0


def test_the_full_generator_is_at_distance_0(generator: Generator, perceptual: PerceptualDistance) -> None:
    assert Objective(generator, perceptual, "stand-in", latents=3).distances([generator.space.full()]) == [0.0]


def test_values_do_not_depend_on_the_company_to_the_bit(generator: Generator, perceptual: PerceptualDistance) -> None:
    architectures = list(generator.space.enumerate())[::20]
    objective = Objective(generator, perceptual, "stand-in", latents=5, batch_size=2)
    together = objective.distances(architectures)
    assert together == [objective.distances([one])[0] for one in architectures]
    again = Objective(generator, perceptual, "stand-in", latents=5, batch_size=2)
    assert again.distances(architectures[::-1]) == together[::-1]


def test_the_full_pictures_are_made_once(generator: Generator, perceptual: PerceptualDistance) -> None:
    objective = Objective(generator, perceptual, "stand-in", latents=4, batch_size=4)
    made = []
    generator_call = generator.synthesize

    def counted(styles: torch.Tensor, architecture: Architecture, *rest: object) -> object:
        made.append(architecture.resolution)
        return generator_call(styles, architecture, *rest)  # type: ignore[arg-type]

    objective.generator.synthesize = counted  # type: ignore[method-assign, assignment]
    try:
        objective.distances([generator.space.full(8), generator.space.uniform(0.25, 8)])
    finally:
        del objective.generator.synthesize
    assert made == [8, 8]


def test_the_protocol_names_what_decides_the_value(generator: Generator, perceptual: PerceptualDistance) -> None:
    protocol = Objective(generator, perceptual, "stand-in", latents=3, truncation=0.7).protocol
    assert protocol["name"] == "search3_stand-in"
    assert (protocol["latents"], protocol["truncation"], protocol["side"]) == (3, 0.7, 16)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pictures_that_are_not_finite_are_refused(
    value: float, generator: Generator, perceptual: PerceptualDistance
) -> None:
    broken = copy.deepcopy(generator)
    objective = Objective(broken, perceptual, "stand-in", latents=2)
    broken.to_rgb[1].bias[0] = value
    with pytest.raises(UserError, match=r"pictures of architecture 0\.25@8 \(8 px, channels 64 64 32 32\) are not"):
        objective.distances([broken.space.parse("0.25@8")])
    with pytest.raises(UserError, match=r"pictures of architecture full .* are not finite"):
        Objective(broken, perceptual, "stand-in", latents=2)


def test_distances_that_are_not_finite_are_refused(generator: Generator, perceptual: PerceptualDistance) -> None:
    broken = copy.deepcopy(perceptual)
    next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match=r"distances of architecture 0\.5 .* are not finite"):
        Objective(generator, broken, "stand-in", latents=2).distances([generator.space.uniform(0.5)])
