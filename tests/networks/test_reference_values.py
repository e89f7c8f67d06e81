"""Outputs of the official networks for weights that a rule fills, to the printed digits, in float64.

Each value is asked of the plain definition and of the fast networks.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from anycost.architecture import ArchitectureSpace
from anycost.benchmarks.plain_discriminator import PlainDiscriminator
from anycost.benchmarks.plain_generator import PlainGenerator
from anycost.losses import path_lengths, r1_penalty
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator
from anycost.networks.sorting import input_importance

Fill = Callable[[nn.Module], nn.Module]
DIGITS = 5.01e-11  # half a unit of the tenth decimal

IMAGES = {
    32: (0.1612618382, 0.2341782821, 0.0497045830, -0.3606893780, 1.2228690965),
    8: (0.0336414440, 0.2012402806, -0.0261428643, -0.0033775724, 0.2810475942),
    4: (-0.0669971779, 0.4895902987, 0.1727036364, -0.0014003108, 0.2404122499),
}
CHANNELS = (12, 8, 8, 12, 4, 8, 8, 4)
SLICED = (0.0660899148, -0.0033300769, -0.0017355845, 0.2350472319, 0.4524348274)
MIXED = (0.1924670282, -0.0387900947, 0.0088806968, -0.3286986421, 1.1112666841)
TRUNCATED = (0.1887637143, 0.1008830588, -0.0133274101, -0.0535910216, 0.6522137826)
ORDER_RGB = [10, 13, 11, 12, 1, 4, 3, 8, 5, 6, 9, 15, 2, 0, 14, 7]
ORDER_CONV = [12, 1, 4, 0, 3, 13, 10, 15, 6, 2, 7, 8, 11, 9, 14, 5]


def signature(image: Tensor) -> list[float]:
    """Three pixels, the mean and the population deviation of [2, 3, r, r]."""
    picked = [image[0, 0, 0, 0], image[0, 1, 2, 3], image[1, 2, -1, -1], image.mean(), image.std(unbiased=False)]
    return [value.item() for value in picked]


@pytest.fixture(params=["plain", "fast"])
def generator(request: pytest.FixtureRequest, reference_space: ArchitectureSpace,
              fill_generator: Fill) -> SimpleNamespace:
    """`pyramid(latents, channels=..., ...)` -> {resolution: image} and `mapping` of one implementation."""
    if request.param == "plain":
        network: nn.Module = fill_generator(PlainGenerator(32, 2, 16, latent_dim=16, mapping_layers=2))
        return SimpleNamespace(pyramid=network, network=network)
    network = fill_generator(Generator(reference_space, latent_dim=16, mapping_layers=2))

    def pyramid(latents: Tensor, channels: Sequence[int] | None = None, **options: object) -> dict[int, Tensor]:
        architecture = reference_space.from_channels(channels) if channels else None
        return network.pyramid(latents, architecture, **options)

    return SimpleNamespace(pyramid=pyramid, network=network)


@pytest.fixture
def z(pattern: Callable[..., Tensor]) -> Tensor:
    return pattern(2, 1, 16)


def test_mapping(generator: SimpleNamespace, z: Tensor) -> None:
    w = generator.network.mapping(z)
    found = [w[0, 0, 0].item(), w[0, 0, 15].item(), w[1, 0, 7].item()]
    assert found == pytest.approx([0.1932722634, -0.0010570963, -0.1244982330], abs=DIGITS)


@pytest.mark.parametrize("resolution", IMAGES)
def test_images(generator: SimpleNamespace, z: Tensor, resolution: int) -> None:
    image = generator.pyramid(z)[resolution]
    assert image.shape == (2, 3, resolution, resolution)
    assert signature(image) == pytest.approx(IMAGES[resolution], abs=DIGITS)


def test_channels(generator: SimpleNamespace, z: Tensor) -> None:
    assert signature(generator.pyramid(z, channels=CHANNELS)[32]) == pytest.approx(SLICED, abs=DIGITS)


def test_mixing(generator: SimpleNamespace, z: Tensor) -> None:
    both = torch.cat([z, z.flip(-1)], dim=1)
    assert signature(generator.pyramid(both, mixing_cutoff=3)[32]) == pytest.approx(MIXED, abs=DIGITS)


def test_truncation(generator: SimpleNamespace, z: Tensor) -> None:
    mean = torch.linspace(-1, 1, 16, dtype=torch.float64)
    image = generator.pyramid(z, truncation=0.5, truncation_mean=mean)[32]
    assert signature(image) == pytest.approx(TRUNCATED, abs=DIGITS)


def test_path_lengths(generator: SimpleNamespace, z: Tensor, pattern: Callable[..., Tensor]) -> None:
    w_plus = generator.network.mapping(z).detach().expand(-1, 8, -1).clone().requires_grad_()
    image = generator.pyramid(w_plus, latents_in="w")[32]
    lengths = path_lengths(image, w_plus, pattern(2, 3, 32, 32))
    assert lengths.tolist() == pytest.approx([0.5013744948, 0.4603255116], abs=DIGITS)


def test_importance_order(generator: SimpleNamespace, z: Tensor) -> None:
    network = generator.network
    w = network.mapping(z)[:, 0]
    raw = input_importance(network.to_rgb[-1], w)
    assert raw[:3].tolist() == pytest.approx([0.66570557, 1.59426198, 0.75199193], abs=5.01e-9)
    assert raw.argsort(descending=True).tolist() == ORDER_RGB
    for layer in (network.layers[-1], network.layers[0]):
        assert input_importance(layer, w).argsort(descending=True).tolist() == ORDER_CONV


@pytest.fixture(params=["plain", "fast"])
def discriminator(request: pytest.FixtureRequest, reference_space: ArchitectureSpace,
                  fill_discriminator: Fill) -> Callable[[int, bool], nn.Module]:
    """Make the filled discriminator of one implementation from (num_resolutions, conditioned)."""
    def make(num_resolutions: int, conditioned: bool) -> nn.Module:
        if request.param == "plain":
            return fill_discriminator(PlainDiscriminator(32, 2, 16, num_resolutions, conditioned))
        return fill_discriminator(Discriminator(reference_space, num_resolutions, conditioned))

    return make


@pytest.fixture
def code(reference_space: ArchitectureSpace) -> Tensor:
    ratios = (0.25, 0.5, 0.75, 1.0) * 2
    return torch.tensor(reference_space.one_hot(reference_space.from_ratios(ratios)), dtype=torch.float64)


@pytest.mark.parametrize(("step", "expected"), [
    (1, (0.0598656779, 0.0594831745, 0.0599523154)), (2, (0.0605497225, 0.0594752148, 0.0598042954)),
])
def test_conditioned_discriminator(discriminator: Callable[[int, bool], nn.Module], code: Tensor, step: int,
                                   pattern: Callable[..., Tensor], expected: tuple[float, ...]) -> None:
    images = pattern(8, 3, 32, 32)[..., ::step, ::step]
    assert discriminator(2, True)(images, code)[:3].tolist() == pytest.approx(expected, abs=DIGITS)


def test_r1_of_the_conditioned_discriminator(discriminator: Callable[[int, bool], nn.Module], code: Tensor,
                                             pattern: Callable[..., Tensor]) -> None:
    images = pattern(8, 3, 32, 32)[:4].clone().requires_grad_()
    penalty = r1_penalty(images, discriminator(2, True)(images, code))
    assert penalty.item() == pytest.approx(7.1457424876e-07, abs=5.01e-18)


def test_single_discriminator(discriminator: Callable[[int, bool], nn.Module],
                              pattern: Callable[..., Tensor]) -> None:
    logits = discriminator(1, False)(pattern(8, 3, 32, 32))
    assert logits[:3].tolist() == pytest.approx((0.0630127710, 0.0625284464, 0.0627449695), abs=DIGITS)
