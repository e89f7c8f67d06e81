"""Channel sorting: the generator's function stays, and the most important channels come first."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from anycost.architecture import ArchitectureSpace
from anycost.networks.generator import Generator
from anycost.networks.sorting import input_importance, sort_channels


@torch.no_grad()
def make(resolution: int, cap: int, seed: int) -> Generator:
    torch.manual_seed(seed)
    network = Generator(ArchitectureSpace(resolution, 0.012, cap, num_resolutions=2), 6, 2).double()
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


@given(st.sampled_from([8, 16, 32]), st.integers(2, 12), st.integers(0, 99))
def test_sorting_changes_no_picture(resolution: int, cap: int, seed: int) -> None:
    network = make(resolution, cap, seed)
    latents = torch.randn(2, 6, dtype=torch.float64)
    before = network.pyramid(latents)
    sort_channels(network, num_latents=50)
    for side, image in network.pyramid(latents).items():
        torch.testing.assert_close(image, before[side], rtol=1e-9, atol=1e-11)


def stripped(network: Generator) -> Generator:
    """Without the dependence of styles on w, so that importance is a number and not an average over draws."""
    with torch.no_grad():
        for layer in (*network.layers, *network.to_rgb):
            layer.modulation.weight.zero_()
    return network


def importance(layer: nn.Module) -> torch.Tensor:
    return layer.weight.abs().sum((0, 2, 3)) * layer.modulation.bias.abs()


@given(st.sampled_from([8, 16, 32]), st.integers(2, 12), st.integers(0, 99))
def test_every_consumer_meets_its_inputs_in_falling_importance(resolution: int, cap: int, seed: int) -> None:
    """Sorted by the top toRGB and every styled convolution; lower toRGBs take the order of the next layer."""
    network = stripped(make(resolution, cap, seed))
    sort_channels(network, num_latents=10)
    for layer in (network.to_rgb[-1], *network.layers):
        values = importance(layer)
        assert (values[:-1] >= values[1:] - 1e-12).all()


def test_lower_to_rgb_follows_the_next_up_convolution() -> None:
    network = stripped(make(16, 8, 0))
    up, rgb = network.layers[1], network.to_rgb[0]
    order = importance(up).argsort(descending=True)
    expected = rgb.weight[:, order].clone()
    sort_channels(network, num_latents=10)
    assert torch.equal(rgb.weight, expected)


def test_what_sorting_leaves_alone() -> None:
    network = make(16, 8, 0)
    kept = ("mapping.", "noise", "noise_strength")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    sort_channels(network, num_latents=10)
    for name, tensor in network.state_dict().items():
        if name.startswith(kept[0]) or name.endswith(kept[1:]):
            assert torch.equal(tensor, before[name]), name
    assert not torch.equal(network.constant, before["constant"])


def test_importance_is_kernel_magnitude_times_mean_style() -> None:
    network = make(8, 5, 0)
    w = torch.randn(7, 6, dtype=torch.float64)
    layer = network.layers[1]
    found = input_importance(layer, w)
    for channel in range(5):
        kernel = sum(abs(value) for value in layer.weight[:, channel].flatten().tolist())
        styles = [abs(float(value)) for value in layer.modulation(w)[:, channel].detach()]
        assert found[channel].item() == pytest.approx(kernel * sum(styles) / 7, rel=1e-10)


def test_sorting_is_a_function_of_the_seed_and_idempotent() -> None:
    first, second = make(16, 8, 3), make(16, 8, 3)
    for network in (first, second):
        sort_channels(network, num_latents=100, seed=5)
    state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    assert all(torch.equal(tensor, state[name]) for name, tensor in second.state_dict().items())
    sort_channels(first, num_latents=100, seed=5)
    assert all(torch.equal(tensor, state[name]) for name, tensor in first.state_dict().items())


def test_memory_layout_stays() -> None:
    network = make(16, 8, 0)
    strides = {name: tensor.stride() for name, tensor in network.state_dict().items()}
    sort_channels(network, num_latents=10)
    assert {name: tensor.stride() for name, tensor in network.state_dict().items()} == strides
