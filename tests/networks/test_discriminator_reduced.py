"""The discriminator of reduced channels: at every ratio the plain discriminator of just these channels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.benchmarks.plain_discriminator import PlainDiscriminator
from anycost.errors import UserError
from anycost.losses import r1_penalty
from anycost.networks.carry_over import carry_over
from anycost.networks.discriminator import Discriminator
from anycost.networks.sliced_discriminator import SlicedDiscriminator

SPACE = ArchitectureSpace(32, 0.02, 16, num_resolutions=3)  # 16, 16, 16, 10 channels


def pictures(batch: int, *resolutions: int) -> dict[int, Tensor]:
    return {side: torch.randn(batch, 3, side, side, dtype=torch.float64) for side in resolutions}


def fresh(space: ArchitectureSpace = SPACE, entries: int = 3) -> SlicedDiscriminator:
    """In float64, with biases that are not 0."""
    network = SlicedDiscriminator(space, entries).double()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    return network


def judged(network: Discriminator, images: Tensor, architecture: Architecture) -> Tensor:
    ((logits,),) = network.judge([({images.shape[-1]: images}, architecture)])
    return logits


def part(name: str, whole: Tensor, shape: torch.Size) -> Tensor:
    """What a smaller network takes of the tensor: the first entries, and the deviation, which is the last input."""
    if name == "final_conv.weight":
        return torch.cat([whole[: shape[0], : shape[1] - 1], whole[: shape[0], -1:]], 1)
    return whole[tuple(map(slice, shape))]


@st.composite
def cases(draw: st.DrawFn) -> tuple[SlicedDiscriminator, PlainDiscriminator, Tensor, Architecture]:
    """A sliced discriminator, the plain small one of its weights, images, and an architecture of that ratio."""
    resolution = draw(st.sampled_from([8, 16, 32]))
    multiplier, cap = draw(st.sampled_from([(1, 5), (0.03125, 24), (0.013, 16)]))
    entries, ratio = draw(st.integers(1, resolution.bit_length() - 3)), draw(st.sampled_from([0.25, 0.5, 0.75, 1.0]))
    torch.manual_seed(draw(st.integers(0, 99)))
    space = ArchitectureSpace(resolution, multiplier, cap, num_resolutions=entries)
    network = fresh(space, entries)
    small = PlainDiscriminator(resolution, multiplier * ratio, cap, entries).double()
    weights = network.state_dict()
    small.load_state_dict({name: part(name, weights[name], own.shape) for name, own in small.state_dict().items()})
    side = draw(st.sampled_from(space.resolutions))
    return network, small, pictures(draw(st.sampled_from([2, 4, 8])), side)[side], space.uniform(ratio)


def assert_gradients_of_the_part(network: nn.Module, small: nn.Module) -> None:
    """Inside the part, those of the small network; outside, exact zeros."""
    expected = dict(small.named_parameters())
    for name, parameter in network.named_parameters():
        wanted = expected[name].grad
        if wanted is None:
            assert parameter.grad is None, name
            continue
        found = parameter.grad
        torch.testing.assert_close(part(name, found, wanted.shape), wanted, rtol=1e-8, atol=1e-11)
        assert found.count_nonzero() == part(name, found, wanted.shape).count_nonzero(), name


@given(cases())
def test_logits_and_gradients_equal_a_small_plain_discriminator(
        case: tuple[SlicedDiscriminator, PlainDiscriminator, Tensor, Architecture]) -> None:
    network, small, images, architecture = case
    logits, expected = judged(network, images, architecture), small(images)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-11)
    for found in (logits, expected):
        torch.nn.functional.softplus(found).sum().backward()
    assert_gradients_of_the_part(network, small)


@given(cases())
def test_r1_and_its_gradient_equal_those_of_a_small_plain_discriminator(
        case: tuple[SlicedDiscriminator, PlainDiscriminator, Tensor, Architecture]) -> None:
    network, small, images, architecture = case
    images.requires_grad_()
    penalty, expected = r1_penalty(images, judged(network, images, architecture)), r1_penalty(images, small(images))
    torch.testing.assert_close(penalty, expected, rtol=1e-9, atol=1e-12)
    for found in (penalty, expected):
        found.backward()
    weight = network.get_parameter("final_conv.weight").grad
    torch.testing.assert_close(
        part("final_conv.weight", weight, small.final_conv.weight.shape), small.final_conv.weight.grad,
        rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_ratio_is_the_ordinary_discriminator_to_the_bit(dtype: torch.dtype) -> None:
    sliced, ordinary = SlicedDiscriminator(SPACE, 3).to(dtype), Discriminator(SPACE, 3).to(dtype)
    assert carry_over(sliced.state_dict(), ordinary).fresh == []
    images = {side: image.to(dtype) for side, image in pictures(8, 8, 16, 32).items()}
    gradients = []
    for network in (sliced, ordinary):
        (logits,) = network.judge([(images, SPACE.full())])
        torch.stack(logits).square().sum().backward()
        gradients.append([torch.stack(logits), *(parameter.grad for parameter in network.parameters())])
    assert all(map(torch.equal, *gradients))


def test_batches_of_several_ratios_are_judged_as_if_alone() -> None:
    """Ratios in any order, two of them twice; each batch has its own resolutions."""
    network = fresh()
    batches = [(pictures(4, 16, 32), SPACE.uniform(0.5)), (pictures(8, 8), SPACE.full()),
               (pictures(4, 8, 32), SPACE.uniform(0.25)), (pictures(4, 16), SPACE.uniform(0.5)),
               (pictures(4, 32), SPACE.full())]
    together = network.judge(batches)
    for (images, architecture), logits in zip(batches, together, strict=True):
        assert len(logits) == len(images)
        for image, found in zip(images.values(), logits, strict=True):
            torch.testing.assert_close(found, judged(network, image, architecture), rtol=1e-10, atol=1e-12)


def test_a_space_of_its_own_gives_the_widths() -> None:
    """`model.discriminator_multiplier`: the ratio counts, not the generator's channels."""
    network = SlicedDiscriminator(ArchitectureSpace(32, 0.04, 24, num_resolutions=3), 3)
    assert network.channels_at(SPACE.uniform(0.25)) == (24, 24, 20, 20, 10, 10, 5, 5)


def test_flexible_architectures_are_refused() -> None:
    network, mixed = fresh(), SPACE.from_ratios([1, 1, 1, 1, 1, 1, 0.5, 1])
    with pytest.raises(UserError, match="one ratio"):
        network.judge([(pictures(4, 32), mixed)])


def test_recomputing_blocks_changes_no_gradient() -> None:
    network, images = fresh(), pictures(4, 32)[32]
    gradients = []
    for network.checkpointing in (False, True):
        network.zero_grad()
        judged(network, images, SPACE.uniform(0.5)).square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for usual, again in zip(*gradients, strict=True):
        assert (usual is None and again is None) or torch.equal(usual, again)
