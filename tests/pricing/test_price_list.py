"""The price list equals the closed form term by term, the published integers, and what a real forward does."""

import json
import random
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from anycost.architecture import Architecture, ArchitectureSpace, num_points
from anycost.benchmarks.limits import count_operations
from anycost.networks.generator import Generator
from anycost.pricing.activations import activation_bytes
from anycost.pricing.macs import executed_layers, macs, macs_paper, parameters
from anycost.pricing.price_list import Price, PriceList

CONFIG_F = ArchitectureSpace(resolution=1024, multiplier=2)

# The paper's searched sub-generators in the official layout. Each is the only flexible architecture of config-F that
# has both published totals: multiply-adds of torchprofile, and those of the convolutions below.
EVOLVED = Path(__file__).parent / "evolved.json"
CONVOLUTIONS = {
    "15G": 8413372416,
    "18G": 9457754112,
    "24G": 12330196992,
    "29G": 15060295680,
    "36G": 18827698176,
    "44G": 23363444736,
    "58G": 29170851840,
    "73G": 37952151552,
    "87G": 43035648000,
    "101G": 51227123712,
    "116G": 58506338304,
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_evolved_architectures_of_the_paper(name: str) -> None:
    architecture = CONFIG_F.parse(f"{EVOLVED}:{name}")
    price = PriceList(CONFIG_F).price(architecture)
    assert price.macs_paper == json.loads(EVOLVED.read_text())[name]["macs"]
    modulations = sum(layer.full_inputs for layer in executed_layers(CONFIG_F, architecture))
    assert price.macs - 512 * (8 * 512 + modulations) == CONVOLUTIONS[name]


@pytest.mark.parametrize(("resolution", "paper"), [(1024, 144365170309), (256, 85130735289)])
def test_the_full_generators_of_the_paper(resolution: int, paper: int) -> None:
    assert PriceList(CONFIG_F).price(CONFIG_F.full(resolution)).macs_paper == paper


def test_ten_thousand_architectures_cost_well_under_a_second() -> None:
    rng = random.Random(1)
    drawn = [CONFIG_F.sample(rng, "flexible", rng.choice(CONFIG_F.resolutions)) for _ in range(10_000)]
    start = time.process_time()
    prices = PriceList(CONFIG_F)
    assert len({prices.price(architecture).macs for architecture in drawn}) > 5_000
    assert time.process_time() - start < 1.0


@st.composite
def cases(draw: st.DrawFn) -> tuple[ArchitectureSpace, Architecture]:
    """A space and one of its architectures, any counts from 1 to full at any resolution."""
    resolution = draw(st.sampled_from([4, 8, 16, 32, 64, 128]))
    space = ArchitectureSpace(resolution, draw(st.sampled_from([0.125, 0.3, 1, 2])), draw(st.integers(8, 512)), 1)
    counts = tuple(draw(st.integers(1, full)) for full in space.full_channels)
    output = draw(st.sampled_from([r for r in (4, 8, 16, 32, 64, 128) if r <= resolution]))
    return space, space.from_channels(counts, output)


@given(case=cases(), latent_dim=st.integers(1, 600), mapping_layers=st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_it_equals_the_plain_closed_forms(
    case: tuple[ArchitectureSpace, Architecture], latent_dim: int, mapping_layers: int
) -> None:
    space, architecture = case
    prices = PriceList(space, latent_dim, mapping_layers)
    prices.price(space.full(architecture.resolution))  # what is kept of others changes nothing
    assert prices.price(architecture) == Price(
        macs(space, architecture, latent_dim, mapping_layers),
        macs_paper(space, architecture, latent_dim, mapping_layers),
        parameters(space, architecture, latent_dim, mapping_layers),
        activation_bytes(architecture),
    )
    assert prices.price(space.canonical(architecture)) == prices.price(architecture)


@given(case=cases())
@settings(deadline=None, max_examples=60)
def test_the_paper_s_convention_written_out(case: tuple[ArchitectureSpace, Architecture]) -> None:
    """The formula of torchprofile's count, in one piece, from channel lists alone."""
    space, architecture = case
    c, f, top = architecture.channels, space.full_channels, architecture.resolution
    total = 8 * 512**2 + 512 + 8 * (512**2 + 1024) + 1 + 6 * (top.bit_length() - 3) + 4
    for p in range(1, num_points(top)):
        r, up = 4 * 2 ** (p // 2), p % 2 == 0
        total += 9 * c[p - 1] * c[p] * (r + 1 if up else r) ** 2 + (16 * c[p] * r**2 if up else 0)
        total += 2 * 512 * f[p - 1] + f[p - 1] + 3 * 9 * c[p - 1] * c[p] + r**2 + c[p] * r**2
        if not up:
            total += 3 * c[p] * r**2 + 2 * 512 * f[p] + f[p] + 2 * 3 * c[p] + (60 * r**2 if r > 4 else 0)
    assert macs_paper(space, architecture) == total


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (CONFIG_F, "full"),
        (CONFIG_F, f"{EVOLVED}:18G"),
        (CONFIG_F, f"{EVOLVED}:87G"),
        (ArchitectureSpace(64, 0.25, 128), "0.5@32"),
    ],
    ids=["full", "18G", "87G", "64 px"],
)
def test_a_forward_does_these_multiply_adds(space: ArchitectureSpace, text: str) -> None:
    """By PyTorch's own rules on tensors without content, plus what the executor does besides."""
    architecture = space.parse(text)
    generator = Generator(space).requires_grad_(False)
    with FakeTensorMode(allow_non_fake_inputs=True):
        operations = count_operations(lambda: generator(torch.empty(1, 512), architecture))
    layers = list(executed_layers(space, architecture))
    besides = 0
    for layer in layers:
        besides -= 512 * (layer.full_inputs - layer.inputs)  # the executor slices modulations
        besides += layer.inputs * layer.outputs if layer.kind != "rgb" else 0  # demodulation
        besides += 16 * layer.outputs * layer.resolution**2 if layer.kind == "up" else 0  # its filter
        besides += 48 * (layer.resolution // 2) ** 2 if layer.kind == "rgb" and layer.resolution > 4 else 0  # skip
    assert operations == 2 * (macs(space, architecture) + besides)


def test_parameters_are_those_of_the_extracted_generator() -> None:
    space, rng = ArchitectureSpace(32, 0.125, 64, 3), random.Random(2)
    generator = Generator(space, latent_dim=16, mapping_layers=1)
    prices = PriceList(space, latent_dim=16, mapping_layers=1)
    for _ in range(5):
        architecture = space.sample(rng, "flexible", rng.choice(space.resolutions))
        small = generator.extract(architecture)
        assert prices.price(architecture).parameters == sum(p.numel() for p in small.parameters())
