"""The elastic generator over random shapes: equal to the plain definition, and what slicing promises (float64)."""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.benchmarks.plain_generator import PlainGenerator
from anycost.losses import path_lengths
from anycost.networks.generator import Generator

LATENT, CLOSE = 6, {"rtol": 1e-9, "atol": 1e-11}


@torch.no_grad()
def liven(network: nn.Module) -> None:
    """Move biases and noise strengths off zero, so that an error in any of them shows."""
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.add_(0.3 * torch.randn_like(parameter))


@dataclass
class Case:
    generator: Generator
    architecture: Architecture
    latents: Tensor


@st.composite
def cases(draw: st.DrawFn, lowest: int = 4) -> Case:
    """A small generator, any sub-architecture of it (not only allowed ratios), a few latents."""
    resolution = draw(st.sampled_from([8, 16, 32]))
    multiplier, cap = draw(st.sampled_from([(1, 5), (0.006, 8), (0.012, 9), (0.003, 4)]))
    space = ArchitectureSpace(resolution, multiplier, cap, num_resolutions=2)
    counts = [draw(st.integers(1, full)) for full in space.full_channels]
    output = draw(st.sampled_from([r for r in (4, 8, 16, 32) if lowest <= r <= resolution]))
    torch.manual_seed(draw(st.integers(0, 99)))
    generator = Generator(space, LATENT, mapping_layers=draw(st.integers(0, 2))).double()
    liven(generator)
    latents = torch.randn(draw(st.integers(1, 3)), LATENT, dtype=torch.float64)
    return Case(generator, space.from_channels(counts, output), latents)


def plain_of(generator: Generator) -> PlainGenerator:
    space = generator.space
    plain = PlainGenerator(space.resolution, space.multiplier, space.channel_cap, LATENT,
                           len(generator.mapping.layers)).double()
    plain.load_from(generator)
    return plain


def gradients(network: nn.Module, scalar: Tensor) -> dict[str, Tensor]:
    """By name; a parameter that was not used has the gradient zero."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    found = torch.autograd.grad(scalar, parameters, allow_unused=True)
    return {name: torch.zeros_like(parameter) if gradient is None else gradient
            for name, parameter, gradient in zip(names, parameters, found, strict=True)}


def weighted_sum(images: Iterable[Tensor]) -> Tensor:
    """A scalar in which every pixel has another weight."""
    return sum((image * torch.linspace(-1, 2, image.numel()).double().view_as(image)).sum() for image in images)


@given(cases())
def test_images_equal_the_plain_definition(case: Case) -> None:
    images = case.generator.pyramid(case.latents, case.architecture)
    expected = plain_of(case.generator)(case.latents, case.architecture.channels)
    assert list(images) == [r for r in (4, 8, 16, 32) if r <= case.architecture.resolution]
    for resolution, image in images.items():
        torch.testing.assert_close(image, expected[resolution], **CLOSE)


@given(cases())
def test_gradients_equal_the_plain_definition(case: Case) -> None:
    plain = plain_of(case.generator)
    images = case.generator.pyramid(case.latents, case.architecture)
    expected = plain(case.latents, case.architecture.channels)
    found = gradients(case.generator, weighted_sum(images.values()))
    wanted = gradients(plain, weighted_sum(expected[resolution] for resolution in images))
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-7, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


@given(cases())
def test_second_order_gradients_equal_the_plain_definition(case: Case) -> None:
    """The gradient of the path lengths, which the path-length phase follows."""
    plain = plain_of(case.generator)
    w_plus = torch.randn(len(case.latents), case.generator.num_styles, LATENT, dtype=torch.float64, requires_grad=True)
    image = case.generator(w_plus, case.architecture, latents_in="w")
    other = plain(w_plus, case.architecture.channels, latents_in="w")[case.architecture.resolution]
    direction = torch.randn_like(image)
    found = gradients(case.generator, path_lengths(image, w_plus, direction).square().sum())
    wanted = gradients(plain, path_lengths(other, w_plus, direction).square().sum())
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


@given(cases())
def test_slice_is_the_full_network_that_ignores_the_rest(case: Case) -> None:
    """Dense check: zero weights on the inputs that are dropped leave the full network with the slice's picture."""
    architecture, generator = case.architecture, case.generator
    sliced = generator(case.latents, architecture)
    with torch.no_grad():
        for point, layer in enumerate(generator.layers):
            layer.weight[:, architecture.channels[point]:] = 0
        for level, layer in enumerate(generator.to_rgb):
            layer.weight[:, architecture.channels[2 * level + 1]:] = 0
    dense = generator(case.latents, generator.space.full(architecture.resolution))
    torch.testing.assert_close(sliced, dense, **CLOSE)


@given(cases())
def test_gradient_outside_the_slice_is_exactly_zero(case: Case) -> None:
    architecture, generator = case.architecture, case.generator
    generator(case.latents, architecture).square().sum().backward()
    executed = len(architecture.key[1]) - 1
    for point, layer in enumerate(generator.layers[:executed]):
        outside = layer.weight.grad.clone()
        outside[:architecture.channels[point + 1], :architecture.channels[point]] = 0
        assert outside.eq(0).all()
        assert layer.weight.grad.ne(0).any()
        assert layer.bias.grad[architecture.channels[point + 1]:].eq(0).all()
        assert layer.modulation.weight.grad[architecture.channels[point]:].eq(0).all()


@given(cases())
def test_early_exit_is_the_prefix_of_the_full_run(case: Case) -> None:
    generator, resolution = case.generator, case.architecture.resolution
    whole = generator.pyramid(case.latents, generator.space.from_channels(case.architecture.channels))
    prefix = generator.pyramid(case.latents, case.architecture)
    assert all(torch.equal(image, whole[r]) for r, image in prefix.items())
    assert torch.equal(generator(case.latents, case.architecture), whole[resolution])
    some = generator.pyramid(case.latents, case.architecture, resolutions=[resolution])
    assert list(some) == [resolution]
    assert torch.equal(some[resolution], whole[resolution])


@given(cases())
def test_points_above_the_resolution_change_nothing(case: Case) -> None:
    canonical = case.generator.space.canonical(case.architecture)
    assert torch.equal(case.generator(case.latents, case.architecture), case.generator(case.latents, canonical))


@given(cases())
def test_extracted_generator_renders_the_same(case: Case) -> None:
    small = case.generator.extract(case.architecture)
    assert small.space.full_channels == case.architecture.key[1]
    expected = case.generator.pyramid(case.latents, case.architecture)
    found = small.pyramid(case.latents)
    assert list(found) == list(expected)
    for resolution, image in expected.items():
        torch.testing.assert_close(found[resolution], image, **CLOSE)


@given(cases(lowest=8))
def test_extracted_generator_shares_no_memory(case: Case) -> None:
    before = case.generator(case.latents, case.architecture)
    small = case.generator.extract(case.architecture)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert torch.equal(case.generator(case.latents, case.architecture), before)


@pytest.mark.parametrize("with_gain", [True, False])
def test_half_of_a_wide_model_is_the_narrow_model_after_the_fan_in_gain(with_gain: bool) -> None:
    """[A §15 b]: equal when each sliced weight is multiplied by sqrt(kept / full inputs), and only then."""
    wide_space, narrow_space = (ArchitectureSpace(32, m, 12, num_resolutions=2) for m in (0.012, 0.006))
    wide = Generator(wide_space, LATENT, 2).double()
    narrow = Generator(narrow_space, LATENT, 2).double()
    liven(wide)
    source, state = wide.state_dict(), narrow.state_dict()
    for name, target in state.items():
        target.copy_(source[name][tuple(slice(size) for size in target.shape)])
        if with_gain and target.dim() == 4 and name.endswith(".weight"):
            target.mul_((target.shape[1] / source[name].shape[1]) ** 0.5)
    latents = torch.randn(2, LATENT, dtype=torch.float64)
    half = wide(latents, wide_space.uniform(0.5))
    assert wide_space.uniform(0.5).channels == narrow_space.full_channels
    assert torch.allclose(half, narrow(latents), **CLOSE) == with_gain


@given(cases(lowest=8), st.sampled_from(["usual", "bf16", "path length"]))
def test_recomputing_blocks_changes_no_gradient(case: Case, kind: str) -> None:
    generator, found = case.generator.float(), []
    w_plus = torch.randn(len(case.latents), generator.num_styles, LATENT, requires_grad=True)
    for generator.checkpointing in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "bf16"):
            image = generator(w_plus, case.architecture, latents_in="w")
        scalar = path_lengths(image, w_plus, image.detach()).sum() if kind == "path length" else image.square().sum()
        found.append(gradients(generator, scalar))
    for name, gradient in found[0].items():
        assert torch.equal(gradient, found[1][name]), name
