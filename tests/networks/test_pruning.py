"""Pruning keeps the most important channels, and what is left draws as if the others were not there."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anycost.architecture import ArchitectureSpace, ladder
from anycost.errors import UserError
from anycost.networks.carry_over import carry_over, generator_of
from anycost.networks.generator import Generator
from anycost.networks.pruning import prune

LATENTS = 60
RESOLUTIONS = st.sampled_from([4, 8, 16, 32])
CAPS, SEEDS = st.integers(2, 12), st.integers(0, 99)


@torch.no_grad()
def make(resolution: int, cap: int, seed: int) -> Generator:
    torch.manual_seed(seed)
    network = Generator(ArchitectureSpace(resolution, 0.012, cap, num_resolutions=1), 6, 2).double()
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


@torch.no_grad()
def without(network: Generator, channels: list[int], seed: int) -> Generator:
    """The wide generator, its least important channels read by nobody: written from the definition, in place."""
    z = torch.randn(LATENTS, network.latent_dim, generator=torch.Generator().manual_seed(seed)).double()
    w, last = network.mapping(z), len(network.layers)
    for point, kept in enumerate(channels):
        reader = network.layers[point] if point < last else network.to_rgb[-1]
        importance = [
            sum(abs(v) for v in reader.weight[:, c].flatten().tolist()) * float(reader.modulation(w)[:, c].abs().mean())
            for c in range(reader.weight.shape[1])
        ]
        dropped = sorted(range(len(importance)), key=lambda c: -importance[c])[kept:]
        readers = [reader, network.to_rgb[point // 2]] if point % 2 else [reader]
        for one in readers:
            one.weight[:, dropped] = 0
    return network


@given(RESOLUTIONS, CAPS, SEEDS)
def test_it_draws_as_the_wide_one_whose_dropped_channels_are_not_read(resolution: int, cap: int, seed: int) -> None:
    network, rng = make(resolution, cap, seed), random.Random(seed)
    channels = [rng.randint(1, full) for full in network.space.full_channels]
    latents = torch.randn(2, 6, dtype=torch.float64)
    pruned = prune(network, channels, LATENTS, seed)
    assert pruned.space.full_channels == tuple(channels)
    expected = without(network, channels, seed).pyramid(latents)
    for side, image in pruned.pyramid(latents).items():
        torch.testing.assert_close(image, expected[side], rtol=1e-10, atol=1e-12)


@given(RESOLUTIONS, CAPS, SEEDS)
def test_pruning_nothing_changes_nothing(resolution: int, cap: int, seed: int) -> None:
    network = make(resolution, cap, seed)
    before = {name: x.clone() for name, x in network.state_dict().items()}
    latents = torch.randn(2, 6, dtype=torch.float64)
    pruned = prune(network, network.space.full_channels, LATENTS)
    torch.testing.assert_close(pruned(latents), network(latents), rtol=1e-12, atol=1e-12)
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())


def test_the_result_is_a_generator_of_the_narrow_ladder() -> None:
    network = make(16, 12, 0)
    narrow = Generator(ArchitectureSpace(16, 0.006, 12, num_resolutions=1), 6, 2).double()
    pruned = prune(network, ladder(16, 0.006, 12), LATENTS)
    assert carry_over(pruned.state_dict(), narrow).unused == []
    latents = torch.randn(2, 6, dtype=torch.float64)
    assert torch.equal(narrow(latents), pruned(latents))


@pytest.mark.parametrize("channels", [[12, 12, 12, 13, 12, 12], [12] * 4, [12, 12, 0, 12, 12, 12]])
def test_channels_that_there_are_not(channels: list[int]) -> None:
    with pytest.raises(UserError, match="channel"):
        prune(make(16, 12, 0), channels, LATENTS)


@given(RESOLUTIONS, CAPS, st.integers(1, 7), st.integers(0, 3))
def test_a_generator_is_read_off_its_tensors(resolution: int, cap: int, latent_dim: int, depth: int) -> None:
    network = Generator(ArchitectureSpace(resolution, 0.012, cap, num_resolutions=1), latent_dim, depth)
    found = generator_of(network.state_dict())
    assert found.space.resolution == resolution
    assert found.space.full_channels == network.space.full_channels
    latents = torch.randn(2, latent_dim)
    assert torch.equal(found(latents), network(latents))
    assert not any(parameter.requires_grad for parameter in found.parameters())
