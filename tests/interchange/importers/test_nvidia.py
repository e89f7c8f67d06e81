"""Pickles of stylegan2-ada-pytorch and stylegan3: same pictures and logits; other networks are refused by name."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from anycost.architecture import ladder
from anycost.errors import UserError
from anycost.interchange.importers import Choice, Imported, convert
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
BUFFERS = ("w_avg", "noise_const", "resample_filter")
WIDTHS = ladder(32, 1 / 64, 16)[::2]  # 16 16 16 8

Make = Callable[..., Any]


@pytest.fixture
def network(foreign_files: ModuleType) -> Make:
    """`network(tensors, attributes, c_dim=0, **options)`: a generator or discriminator as NVIDIA's code keeps it."""

    def make(tensors: dict[str, Tensor], attributes: dict[str, dict[str, Any]] | None = None, c_dim: int = 0,
             **options: Any) -> Any:
        generator = any(name.startswith("synthesis.") for name in tensors)
        paths = {name.rpartition(".")[0] for name in tensors}
        own: dict[str, dict[str, Any]] = {"": {"c_dim": c_dim, "img_channels": 3}}
        for path in paths:
            last = path.rpartition(".")[2]
            if last in ("conv0", "conv1", "conv", "fromrgb", "fc", "fc0", "fc1", "skip", "affine", "out"):
                own[path] = {"activation": "linear" if last in ("skip", "affine", "out") else "lrelu"}
            if last in ("affine", "out", "fc0", "fc1", "fc"):
                own[path]["bias_gain"] = 0.01 if path.startswith("mapping") else 1
            if last.startswith("b") and last[1:].isdigit():
                own[path] = {"architecture": "skip" if generator else "resnet"}
        if not generator:
            own["b4.mbstd"] = {"group_size": 4, "num_channels": 1}
        for path, entries in (attributes or {}).items():
            own[path] = own.get(path, {}) | entries
        return foreign_files.module(
            tensors, {"": "Generator" if generator else "Discriminator"}, BUFFERS, {"synthesis": options}, own
        )

    return make


@pytest.fixture
def file(originals: ModuleType, network: Make, foreign_files: ModuleType, tmp_path: Path) -> Make:
    """`file(G=..., D=..., G_ema=..., ...)`: a pickle with these entries; by default all three networks."""

    def write(**entries: Any) -> Path:
        shape = originals.Shape(WIDTHS)
        content = {
            "G": network(originals.nvidia.generator(shape)), "D": network(originals.nvidia.discriminator(shape)),
            "G_ema": network(originals.nvidia.generator(shape)), "augment_pipe": None,
            "training_set_kwargs": foreign_files.easy_dict(path="ffhq.zip"), **entries,
        }  # fmt: skip
        return foreign_files.write_pickle(
            tmp_path / "network-snapshot.pkl", {key: x for key, x in content.items() if x is not ...}
        )

    return write


@pytest.mark.parametrize("weights", ["ema", "raw"])
@pytest.mark.parametrize("mapping", [2, 8])
def test_pictures_and_logits(originals: ModuleType, network: Make, file: Make, generator_of: Callable[..., Generator],
                             discriminator_of: Callable[..., Discriminator], weights: str, mapping: int) -> None:
    shape = originals.Shape(WIDTHS, mapping=mapping)
    states = {key: originals.nvidia.generator(shape) for key in ("G", "G_ema")}
    critic = originals.nvidia.discriminator(shape)
    path = file(D=network(critic), **{key: network(state) for key, state in states.items()})
    result = convert(path, Choice(weights=weights))
    state = states[{"ema": "G_ema", "raw": "G"}[weights]]
    assert (result.header.kind, result.header.card["weights"]) == ("training", weights)
    assert result.header.card["left_out"] == ["augment_pipe", "training_set_kwargs"]
    assert result.header.model == {"latent_dim": 16, "mapping_layers": mapping}
    generator, z = generator_of(result), torch.randn(2, 16, dtype=torch.float64)
    for truncation in (1.0, 0.6):
        w = originals.nvidia.mapping(state, z, truncation)
        found = generator(z, truncation=truncation, truncation_mean=generator.truncation_center())
        torch.testing.assert_close(found, originals.nvidia.synthesis(state, w), rtol=1e-5, atol=1e-6)
        exact = originals.nvidia.synthesis(state, w, scaled_epsilon=True)
        torch.testing.assert_close(found, exact, **CLOSE)
        torch.testing.assert_close(generator(w, latents_in="w"), exact, **CLOSE)
    silent = originals.nvidia.synthesis(state, originals.nvidia.mapping(state, z), noise=False, scaled_epsilon=True)
    torch.testing.assert_close(generator(z, noise="none"), silent, **CLOSE)
    x = torch.randn(8, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(discriminator_of(result)(x), originals.nvidia.logits(critic, x), **CLOSE)


@pytest.mark.parametrize(("options", "expected"), [
    ({"channel_base": 512, "channel_max": 16}, 2 / 64), ({"channel_base": 256, "channel_max": 16}, 1 / 64),
    ({}, 1 / 64), ({"channel_base": "many"}, 1 / 64),
])
def test_the_multiplier_that_the_file_states(originals: ModuleType, network: Make, file: Make,
                                             options: dict[str, Any], expected: float) -> None:
    """16 channels everywhere up to 16 px would be that of several multipliers."""
    generator = network(originals.nvidia.generator(originals.Shape((16, 16, 16))), **options)
    space = convert(file(G_ema=generator), Choice(part="generator")).header.space
    assert (space["multiplier"], space["channel_cap"], space["channels"]) == (expected, 16, None)
    assert tuple(space["ratios"]) == (1.0,), "StyleGAN2 trains the full width alone"


def test_without_mean_style_and_discriminator(originals: ModuleType, network: Make, file: Make) -> None:
    state = originals.nvidia.generator(originals.Shape(WIDTHS))
    del state["mapping.w_avg"]
    result = convert(file(G_ema=network(state), G=..., D=...))
    assert result.header.kind == "generator"
    assert "truncation_mean" not in result.tensors


def test_clamped_activations_are_told(originals: ModuleType, network: Make, file: Make) -> None:
    clamp = {"synthesis.b4.conv1": {"conv_clamp": 256}}
    generator = network(originals.nvidia.generator(originals.Shape(WIDTHS)), clamp)
    card = convert(file(G_ema=generator)).header.card
    assert card["differs"] == ["activations beyond conv_clamp=256 are not clamped"]


@pytest.mark.parametrize(("size", "expected"), [
    (4, None), (8, "minibatch deviation over groups of 4 instead of 8"),
    (None, "minibatch deviation over groups of 4 instead of the whole batch"),
])
def test_another_group_of_minibatch_deviation_is_told(
    originals: ModuleType, network: Make, file: Make, size: int | None, expected: str | None
) -> None:
    """It changes no weight."""
    state = originals.nvidia.discriminator(originals.Shape(WIDTHS))
    result = convert(file(D=network(state, {"b4.mbstd": {"group_size": size}})))
    assert result.header.kind == "training"
    assert torch.equal(result.tensors["discriminator.logit.weight"], state["b4.out.weight"])
    assert result.header.card.get("differs") == (None if expected is None else [expected])


# ---- refused by name


def stylegan3(state: dict[str, Tensor]) -> dict[str, Tensor]:
    kept = {name: x for name, x in state.items() if not name.startswith("synthesis")}
    return kept | {"synthesis.input.weight": torch.ones(3, 3), "synthesis.L0_36_512.weight": torch.ones(3, 3, 3, 3)}


@pytest.mark.parametrize(("change", "attributes", "options", "message"), [
    (stylegan3, {}, {}, "a StyleGAN3 generator"),
    (None, {}, {"c_dim": 10}, r"class-conditional \(c_dim=10, mapping.embed\)"),
    (lambda s: {**s, "mapping.embed.weight": torch.ones(2, 2)}, {}, {}, "class-conditional"),
    (None, {"synthesis.b8": {"architecture": "resnet"}}, {}, r"synthesis\.b8\.architecture=resnet is not supported"),
    (None, {"synthesis.b4": {"architecture": "orig"}}, {}, "architecture=orig"),
    (None, {"synthesis.b8.conv0": {"activation": "relu"}}, {}, r"conv0\.activation=relu"),
    (None, {"mapping.fc0": {"activation": "linear"}}, {}, r"mapping\.fc0\.activation=linear"),
    (None, {"mapping.fc0": {"bias_gain": 1}}, {}, r"mapping\.fc0\.bias_gain=1: a learning-rate multiplier other than"),
    (None, {"": {"img_channels": 4}}, {}, "img_channels=4"),
    (None, {"synthesis.b8.conv1": {"use_noise": False}}, {}, "use_noise=False"),
    (lambda s: {**s, "synthesis.b8.conv0.resample_filter": torch.ones(4, 4) / 16}, {}, {},
     r"synthesis\.b8\.conv0\.resample_filter is not the filter \[1, 3, 3, 1\]"),
    (lambda s: {**s, "synthesis.b8.resample_filter": torch.ones(12)}, {}, {}, "is not the filter"),
    (lambda s: {name: x for name, x in s.items() if name != "synthesis.b8.conv1.noise_const"}, {}, {},
     r"synthesis\.b8\.conv1\.noise_const is missing"),
    (lambda s: {**s, "synthesis.b8.skip.weight": torch.ones(16, 16, 1, 1)}, {}, {}, r"b8\.skip\.weight is not known"),
    (lambda s: {**s, "mapping.fc0.weight": torch.ones(16, 64)}, {}, {}, r"mapping\.fc0\.weight does not fit"),
    (lambda s: {**s, "mapping.w_avg": torch.ones(7)}, {}, {}, r"the mean style has the shape \[7\]; \[16\] is needed"),
])
def test_generator_that_is_refused(originals: ModuleType, network: Make, file: Make, change: Any, message: str,
                                   attributes: dict[str, dict[str, Any]], options: dict[str, Any]) -> None:
    state = originals.nvidia.generator(originals.Shape(WIDTHS))
    generator = network(change(state) if change else state, attributes, **options)
    with pytest.raises(UserError, match=message):
        convert(file(G_ema=generator))


@pytest.mark.parametrize(("change", "attributes", "options", "message"), [
    (None, {}, {"c_dim": 10}, "class-conditional"),
    (None, {"b8": {"architecture": "orig"}}, {}, r"b8\.architecture=orig is not supported, only architecture=resnet"),
    (None, {"b4.mbstd": {"group_size": 0}}, {}, r"b4\.mbstd\.group_size=0 is no size of a group"),
    (None, {"b4.mbstd": {"group_size": True}}, {}, "group_size=True"),
    (None, {"b4.mbstd": {"group_size": torch.ones(2)}}, {}, "group_size="),
    (None, {"b4.mbstd": {"num_channels": 2}}, {}, "num_channels=2"),
    (lambda s: {**s, "b8.resample_filter": torch.eye(4)}, {}, {}, "is not the filter"),
    (lambda s: {name: x for name, x in s.items() if "skip" not in name}, {}, {}, "missing"),
])
def test_discriminator_that_is_refused_can_be_left_out(
    originals: ModuleType, network: Make, file: Make, change: Any, attributes: dict[str, dict[str, Any]],
    options: dict[str, Any], message: str,
) -> None:
    state = originals.nvidia.discriminator(originals.Shape(WIDTHS))
    path = file(D=network(change(state) if change else state, attributes, **options))
    with pytest.raises(UserError, match=f"the discriminator: .*{message}.*; part=generator converts the generator"):
        convert(path)
    result = convert(path, Choice(part="generator"))
    assert result.header.card["left_out"][0] == "the discriminator (part=generator)"


def test_weights_that_the_file_has_not(file: Make) -> None:
    with pytest.raises(UserError, match="weights=raw: the file has no G"):
        convert(file(G=...), Choice(weights="raw"))


def test_the_source_in_the_file_is_not_run(file: Make) -> None:
    """`foreign_fixtures` embeds one that leaves the process."""
    assert isinstance(convert(file()), Imported)
