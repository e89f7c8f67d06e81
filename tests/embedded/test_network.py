"""The network in the package: its file, its interface at every size, its cost."""

from pathlib import Path

import pytest
import torch
from hatchling.builders.wheel import WheelBuilder
from torch import Tensor

from anycost.errors import UserError
from anycost.interchange.weights import Header, read_weights, write_weights
from anycost.networks.embedded import SHIPPED, EmbeddedNetwork

ROOT = Path(__file__).resolve().parents[2]


def images(side: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(side)) * 2 - 1


def test_the_shipped_file_is_small_and_says_how_it_was_made() -> None:
    assert SHIPPED.stat().st_size <= 2_000_000
    _, header = read_weights(SHIPPED)
    assert header.kind == "embedded"
    assert header.licence == "MIT"
    assert header.card["stage"] == "attributes"
    assert header.card["faces"].startswith("faces-v")
    assert {"images", "seed", "version", "held_out"} <= header.card.keys()


def test_the_wheel_holds_the_weights() -> None:
    shipped = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert "anycost/weights/embedded.safetensors" in shipped


def test_each_call_gives_a_frozen_network_of_its_own() -> None:
    state = torch.random.get_rng_state()
    first, second = EmbeddedNetwork.shipped(), EmbeddedNetwork.shipped()
    assert torch.equal(state, torch.random.get_rng_state())
    assert not first.training
    assert not any(parameter.requires_grad for parameter in first.parameters())
    assert {parameter.dtype for parameter in first.parameters()} == {torch.float32}
    first.levels[0].first.weight.zero_()
    assert (second.levels[0].first.weight != 0).any()
    assert (EmbeddedNetwork.shipped().levels[0].first.weight != 0).any()


@pytest.mark.parametrize(("side", "seen"), [(8, 16), (16, 16), (32, 32), (64, 64), (256, 256), (512, 256)])
def test_features_of_every_size(network: EmbeddedNetwork, side: int, seen: int) -> None:
    shapes = [tuple(level.shape) for level in network.features(images(side))]
    assert shapes == [(2, network.width << i, seen >> i, seen >> i) for i in range(4)]


@pytest.mark.parametrize("side", [8, 16, 32, 64, 256])
def test_vectors_and_heads_of_every_size(network: EmbeddedNetwork, side: int) -> None:
    x = images(side)
    assert network.pooled(x).shape == (2, network.feature_dimension)
    assert network.attributes(x).shape == (2, len(network.attribute_names))
    half = min(max(side, 16), 64) // 2
    assert network.label_map(x).shape == (2, len(network.label_names), half, half)


def test_pooled_features_of_large_pictures_see_detail_and_the_whole(network: EmbeddedNetwork) -> None:
    x = torch.nn.functional.interpolate(images(16), size=(256, 256), mode="bicubic").clamp(-1, 1)
    detailed = (x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    fine = network.width * 3
    gap = (network.pooled(detailed) - network.pooled(x)).abs()
    assert (gap[:, :fine].mean(1) > 4 * gap[:, fine:].mean(1)).all()
    small = torch.nn.functional.interpolate(x, size=(64, 64), mode="bilinear", antialias=True)
    torch.testing.assert_close(network.pooled(x)[:, fine:], network.pooled(small)[:, fine:])


def test_one_picture_does_not_depend_on_the_others(network: EmbeddedNetwork) -> None:
    x = images(32, count=5)
    torch.testing.assert_close(network.pooled(x)[2:3], network.pooled(x[2:3]))


def test_cost(network: EmbeddedNetwork) -> None:
    macs = 0

    def count(module: torch.nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal macs
        macs += module.weight[0].numel() * output[0].numel()  # type: ignore[operator, union-attr]

    copy = EmbeddedNetwork.shipped()
    for level in copy.levels:
        level.first.register_forward_hook(count)
        level.second.register_forward_hook(count)
    copy.features(images(32, count=1))
    assert macs < 20e6
    assert sum(parameter.numel() for parameter in copy.parameters()) < 500_000


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="install anycost again"):
        EmbeddedNetwork.load(tmp_path / "embedded.safetensors")


def test_weights_of_a_generator_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, {"generator.constant": torch.zeros(1)}, Header("training"))
    with pytest.raises(UserError, match="holds training weights"):
        EmbeddedNetwork.load(path)


def test_identity_names_the_weights(tmp_path: Path) -> None:
    tensors, header = read_weights(SHIPPED)
    write_weights(tmp_path / "same.safetensors", tensors, header)
    other = {name: tensor + 1 for name, tensor in tensors.items()}
    write_weights(tmp_path / "other.safetensors", other, header)
    same, changed = (EmbeddedNetwork.load(tmp_path / f"{name}.safetensors") for name in ("same", "other"))
    assert same.identity == EmbeddedNetwork.shipped().identity != changed.identity
