"""The discriminator of MSG-GAN: equal to a naive loop over the levels, and how it is called."""

import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from anycost.architecture import ArchitectureSpace
from anycost.benchmarks.plain_discriminator import PlainDiscriminator, minibatch_deviation
from anycost.errors import UserError
from anycost.losses import r1_penalty
from anycost.networks.discriminator import Discriminator
from anycost.networks.multiscale_discriminator import MultiscaleDiscriminator

SPACE = ArchitectureSpace(32, 0.02, 8, num_resolutions=3)


def pyramid(batch: int, *resolutions: int) -> dict[int, Tensor]:
    sides = resolutions or SPACE.resolutions
    return {side: torch.randn(batch, 3, side, side, dtype=torch.float64) for side in sides}


def fresh(space: ArchitectureSpace = SPACE) -> MultiscaleDiscriminator:
    """In float64, with biases that are not 0."""
    network = MultiscaleDiscriminator(space, space.num_resolutions).double()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    return network


def judged(network: MultiscaleDiscriminator, images: Mapping[int, Tensor]) -> Tensor:
    ((logits,),) = network.judge([(images, network.space.full())])
    return logits


class Naive(nn.Module):
    """The plain discriminator of one resolution, with lower pictures mixed in by an explicit matrix per pixel."""

    def __init__(self, network: MultiscaleDiscriminator) -> None:
        super().__init__()
        space = network.space
        self.plain = PlainDiscriminator(space.resolution, space.multiplier, space.channel_cap, 1).double()
        self.plain.load_from(network)
        self.combine = nn.ParameterDict(
            {name.split(".")[1]: weight.clone() for name, weight in network.state_dict().items() if "combine" in name})

    def forward(self, images: Mapping[int, Tensor]) -> Tensor:
        side = max(images)
        x = self.plain.from_rgb[str(side)](images[side])
        while side > 4:
            if side in images and str(side) in self.combine:
                matrix = self.combine[str(side)][:, :, 0, 0]
                both = torch.cat([x, images[side]], 1)
                x = torch.einsum("oi,bihw->bohw", matrix, both) / math.sqrt(x.shape[1] + 3)
            x = self.plain.blocks[str(side)](x, None)
            side //= 2
        x = self.plain.final_conv(minibatch_deviation(x))
        x = nn.functional.leaky_relu(self.plain.final_dense(x.flatten(1)), 0.2) * math.sqrt(2)
        return self.plain.logit(x)[:, 0]


@st.composite
def cases(draw: st.DrawFn) -> tuple[MultiscaleDiscriminator, Naive, dict[int, Tensor]]:
    resolution = draw(st.sampled_from([8, 16, 32]))
    multiplier, cap = draw(st.sampled_from([(1, 5), (0.006, 8), (0.003, 4)]))
    torch.manual_seed(draw(st.integers(0, 99)))
    number = draw(st.integers(1, resolution.bit_length() - 3))
    space = ArchitectureSpace(resolution, multiplier, cap, num_resolutions=number)
    network = fresh(space)
    return network, Naive(network), pyramid(draw(st.sampled_from([1, 2, 4, 8])), *space.resolutions)


def gradients_by_name(network: nn.Module) -> dict[str, Tensor]:
    return {name.removeprefix("plain.").removesuffix(".weight"): parameter.grad
            for name, parameter in network.named_parameters()}


@given(cases())
def test_logits_and_gradients_equal_a_naive_loop(
        case: tuple[MultiscaleDiscriminator, Naive, dict[int, Tensor]]) -> None:
    network, naive, images = case
    logits, expected = judged(network, images), naive(images)
    assert logits.shape == (len(images[max(images)]),)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-11)
    for found in (logits, expected):
        nn.functional.softplus(found).sum().backward()
    wanted = gradients_by_name(naive)
    assert wanted.keys() == gradients_by_name(network).keys()
    for name, gradient in gradients_by_name(network).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-7, atol=1e-10)


@given(cases())
def test_r1_is_that_of_all_pictures_together(case: tuple[MultiscaleDiscriminator, Naive, dict[int, Tensor]]) -> None:
    """A pyramid is one input: the squared gradients at all of its pictures are added."""
    network, naive, images = case
    inputs = [image.requires_grad_() for image in images.values()]
    penalty = r1_penalty(inputs, judged(network, images))
    slopes = torch.autograd.grad(naive(images).sum(), inputs)
    expected = sum(slope.square().flatten(1).sum(1) for slope in slopes).mean()
    torch.testing.assert_close(penalty, expected, rtol=1e-9, atol=1e-12)
    penalty.backward()
    assert network.final_conv.weight.grad.abs().sum() > 0


def test_batches_judged_together_are_as_if_alone() -> None:
    network, sizes = fresh(), (4, 8, 4)
    batches = [(pyramid(size), SPACE.full()) for size in sizes]
    for (images, _), (logits,) in zip(batches, network.judge(batches), strict=True):
        torch.testing.assert_close(logits, judged(network, images), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("changed", SPACE.resolutions)
def test_every_picture_counts(changed: int) -> None:
    network, images = fresh(), pyramid(4)
    before = judged(network, images)
    assert not torch.allclose(before, judged(network, images | pyramid(4, changed)))


def test_one_resolution_is_the_plain_discriminator() -> None:
    space = ArchitectureSpace(32, 0.02, 8, num_resolutions=1)
    network, plain = fresh(space), Discriminator(space).double()
    plain.load_state_dict(network.state_dict())
    images = pyramid(8, 32)
    assert torch.equal(judged(network, images), plain(images[32]))


@pytest.mark.parametrize("images", [
    {}, pyramid(4, 16, 32), pyramid(4, 4, 8, 16, 32), pyramid(4, 8, 16) | pyramid(8, 32),
    pyramid(4, 8, 16) | {32: torch.randn(4, 1, 32, 32)}, pyramid(4, 8, 16) | {32: torch.randn(4, 3, 32, 16)},
])
def test_an_incomplete_pyramid_is_refused(images: dict[int, Tensor]) -> None:
    with pytest.raises(UserError, match="8, 16, 32"):
        fresh().judge([(images, SPACE.full())])


@pytest.mark.parametrize("number", [0, 4])
def test_impossible_number_of_resolutions_is_refused(number: int) -> None:
    with pytest.raises(UserError, match="num_resolutions"):
        MultiscaleDiscriminator(SPACE, number)


def test_recomputing_blocks_changes_no_gradient() -> None:
    network, images = fresh(), pyramid(4)
    gradients = []
    for network.checkpointing in (False, True):
        network.zero_grad()
        judged(network, images).square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert all(map(torch.equal, *gradients))
