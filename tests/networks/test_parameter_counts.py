"""Sizes of the published models, counted without memory on the meta device."""

import pytest
import torch
from torch import nn

from anycost.architecture import ArchitectureSpace
from anycost.benchmarks.plain_discriminator import PlainDiscriminator
from anycost.benchmarks.plain_generator import PlainGenerator
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator

MAPPING = 2_101_248
COUNTS = {  # (multiplier, resolution): generator, discriminator single, multi-resolution, conditioned
    (2, 1024): (30_370_060, 29_012_513, 29_014_305, 29_462_817),
    (2, 512): (30_276_583, 28_982_849, 28_986_433, 29_385_793),
    (2, 256): (30_034_338, 28_864_129, 28_869_249, 29_219_457),
    (1, 1024): (24_900_764, 24_038_161, 24_039_057, 24_487_569),
    (1, 512): (24_860_935, 24_030_753, 24_032_545, 24_431_905),
    (1, 256): (24_767_458, 24_001_089, 24_004_673, 24_354_881),
}
FORMS = [(1, False), (4, False), (4, True)]
EXTRACTED = [(0.75, 27_341_076), (0.5, 24_900_764), (0.25, 19_409_828)]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("multiplier", "resolution"), COUNTS)
def test_generator(multiplier: int, resolution: int) -> None:
    with torch.device("meta"):
        fast = Generator(ArchitectureSpace(resolution, multiplier))
        plain = PlainGenerator(resolution, multiplier)
    assert parameters(fast) == parameters(plain) == COUNTS[multiplier, resolution][0]
    assert parameters(fast.mapping) == MAPPING


@pytest.mark.parametrize("form", range(3))
@pytest.mark.parametrize(("multiplier", "resolution"), COUNTS)
def test_discriminator(multiplier: int, resolution: int, form: int) -> None:
    num_resolutions, conditioned = FORMS[form]
    with torch.device("meta"):
        fast = Discriminator(ArchitectureSpace(resolution, multiplier), num_resolutions, conditioned)
        plain = PlainDiscriminator(resolution, multiplier, 512, num_resolutions, conditioned)
    assert parameters(fast) == parameters(plain) == COUNTS[multiplier, resolution][1 + form]


def test_noise_buffers_of_a_1024_px_model() -> None:
    with torch.device("meta"):
        generator = Generator(ArchitectureSpace(1024, 2))
    noises = {name: buffer for name, buffer in generator.state_dict().items() if name.endswith("noise")}
    official = 2_796_432 - 16 * 4 * 4  # less eight blur and eight upsampling filters
    assert sum(buffer.numel() for buffer in noises.values()) == official
    assert [generator.state_dict()[f"layers.{i}.noise"].shape[-1] for i in range(17)] == [
        2 ** ((i + 5) // 2) for i in range(17)]


@pytest.mark.parametrize(("ratio", "count"), EXTRACTED)
def test_extracted_sub_generators_of_config_f(ratio: float, count: int) -> None:
    space = ArchitectureSpace(1024, 2)
    with torch.device("meta"):
        assert parameters(Generator(space).extract(space.uniform(ratio))) == count


@pytest.mark.parametrize("resolution", [32, 64])
def test_state_dict_names_of_the_generator(resolution: int) -> None:
    """The documented names, which weights files are made of, are those of the plain definition."""
    with torch.device("meta"):
        fast = Generator(ArchitectureSpace(resolution, 0.1))
        plain = PlainGenerator(resolution, 0.1)
    shapes = [{name: tensor.shape for name, tensor in network.state_dict().items()} for network in (fast, plain)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(("num_resolutions", "conditioned"), FORMS)
def test_state_dict_names_of_the_discriminator(num_resolutions: int, conditioned: bool) -> None:
    with torch.device("meta"):
        fast = Discriminator(ArchitectureSpace(64, 0.1), num_resolutions, conditioned)
        plain = PlainDiscriminator(64, 0.1, 512, num_resolutions, conditioned)
    shapes = [{name: tensor.shape for name, tensor in network.state_dict().items()} for network in (fast, plain)]
    assert shapes[0] == shapes[1]
