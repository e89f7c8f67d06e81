"""Pickles of the TensorFlow StyleGAN2: same pictures and logits; other networks are refused by name."""

from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from anycost.errors import UserError
from anycost.interchange.importers import Choice, Imported, convert
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
WIDTHS = (16, 16, 16, 8)
OPTIONS = {"resolution": 32, "num_channels": 3, "label_size": 0, "fmap_base": 128, "fmap_max": 16}

Make = Callable[..., Any]
Networks = tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]


@pytest.fixture
def file(originals: ModuleType, foreign_files: ModuleType, tmp_path: Path) -> Make:
    """`file(g=..., d=..., gs=..., options=..., of_critic=...)`: a pickle of three networks."""

    def arrays(state: dict[str, Tensor]) -> dict[str, Any]:
        # TensorFlow gives numpy's numbers for variables without dimensions.
        return {name: x.numpy() if x.dim() else x.numpy()[()] for name, x in state.items()}

    def generator(state: Networks, options: dict[str, Any]) -> Any:
        own, mapping, synthesis = (arrays(part) for part in state)
        components = {
            "synthesis": foreign_files.tf_network("G_synthesis", synthesis, static_kwargs=options),
            "mapping": foreign_files.tf_network("G_mapping", mapping, static_kwargs=options),
        }
        return foreign_files.tf_network("G", own, components, options)

    def write(g: Networks | None = None, d: dict[str, Tensor] | None = None, gs: Networks | None = None,
              options: dict[str, Any] | None = None, of_critic: dict[str, Any] | None = None) -> Path:
        shape = originals.Shape(WIDTHS)
        first, last = (state or originals.tensorflow.generator(shape) for state in (g, gs))
        critic = foreign_files.tf_network(
            "D", arrays(d or originals.tensorflow.discriminator(shape)), static_kwargs=OPTIONS | (of_critic or {})
        )
        networks = generator(first, OPTIONS), critic, generator(last, OPTIONS | (options or {}))
        return foreign_files.write_pickle(tmp_path / "stylegan2.pkl", networks)

    return write


def in_singles(states: Iterable[dict[str, Tensor]]) -> tuple[dict[str, Tensor], ...]:
    """Numbers as the files have them: what has no dimension becomes a Python float on the way, in float32."""
    return tuple({name: x if x.dim() else x.float().double() for name, x in state.items()} for state in states)


@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_pictures_and_logits(originals: ModuleType, file: Make, generator_of: Callable[..., Generator],
                             discriminator_of: Callable[..., Discriminator], weights: str) -> None:
    shape = originals.Shape(WIDTHS, mapping=3)
    states = {key: in_singles(originals.tensorflow.generator(shape)) for key in ("raw", "ema")}
    critic = originals.tensorflow.discriminator(shape)
    result = convert(file(states["raw"], critic, states["ema"]), Choice(weights=weights))
    own, mapping, synthesis = states[weights]
    assert (result.header.kind, result.header.card["weights"]) == ("training", weights)
    assert (result.header.space["multiplier"], result.header.space["channel_cap"]) == (1 / 64, 16)
    generator, z = generator_of(result), torch.randn(2, 16, dtype=torch.float64)
    w = originals.tensorflow.mapping(mapping, z)
    torch.testing.assert_close(generator.mapping(z), w, **CLOSE)
    torch.testing.assert_close(generator(z), originals.tensorflow.synthesis(synthesis, w), **CLOSE)
    silent = originals.tensorflow.synthesis(synthesis, w, noise=False)
    torch.testing.assert_close(generator(z, noise="none"), silent, **CLOSE)
    pulled = own["dlatent_avg"].lerp(w, 0.7)
    found = generator(z, truncation=0.7, truncation_mean=generator.truncation_center())
    torch.testing.assert_close(found, originals.tensorflow.synthesis(synthesis, pulled), **CLOSE)
    x = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(discriminator_of(result)(x), originals.tensorflow.logits(critic, x), **CLOSE)


def test_the_up_kernels_alone_are_turned(originals: ModuleType, file: Make) -> None:
    state = originals.tensorflow.generator(originals.Shape(WIDTHS))
    tensors = convert(file(gs=state)).tensors
    synthesis = state[2]
    plain, up = synthesis["8x8/Conv1/weight"], synthesis["8x8/Conv0_up/weight"]
    assert torch.equal(tensors["generator.layers.2.weight"], plain.permute(3, 2, 0, 1))
    assert torch.equal(tensors["generator.layers.1.weight"], up.permute(3, 2, 0, 1).flip(2, 3))


# ---- refused by name


def grown(state: Networks) -> Networks:
    return state[0], state[1], state[2] | {"ToRGB_lod0/weight": torch.ones(1, 1, 8, 3)}


def labelled(state: Networks) -> Networks:
    return state[0], state[1] | {"LabelConcat/weight": torch.ones(10, 16)}, state[2]


def incomplete(state: Networks) -> Networks:
    return state[0], state[1], {name: x for name, x in state[2].items() if name != "16x16/Conv1/mod_bias"}


def of_other_widths(state: Networks) -> Networks:
    return state[0], state[1], state[2] | {"16x16/Conv1/weight": torch.ones(3, 3, 9, 16)}


def flat(state: Networks) -> Networks:
    return state[0], state[1], state[2] | {"16x16/Conv1/weight": torch.ones(3, 3)}


@pytest.mark.parametrize(("change", "options", "message"), [
    (grown, {}, r"a generator that grows \(ToRGB_lod"),
    (labelled, {}, "class-conditional"),
    (incomplete, {}, r"synthesis/16x16/Conv1/mod_bias is missing"),
    (of_other_widths, {}, r"synthesis/16x16/Conv1/weight does not fit the other layers"),
    (flat, {}, r"synthesis/16x16/Conv1/weight has the shape \[3, 3\], which does not fit"),
    (None, {"label_size": 10}, "label_size=10 is not supported, only label_size=0"),
    (None, {"architecture": "resnet"}, "architecture=resnet is not supported, only architecture=skip"),
    (None, {"resample_kernel": [1, 4, 6, 4, 1]}, "resample_kernel="),
    (None, {"resample_kernel": None}, "resample_kernel=None"),
    (None, {"mapping_lrmul": 1.0}, "mapping_lrmul=1.0"),
    (None, {"nonlinearity": "relu"}, "nonlinearity=relu"),
    (None, {"num_channels": 1}, "num_channels=1"),
    (None, {"fmap_max": torch.ones(3), "use_noise": torch.ones(3)}, "use_noise="),
])
def test_generator_that_is_refused(originals: ModuleType, file: Make, change: Any, options: dict[str, Any],
                                   message: str) -> None:
    state = originals.tensorflow.generator(originals.Shape(WIDTHS))
    with pytest.raises(UserError, match=message):
        convert(file(gs=change(state) if change else state, options=options))


@pytest.mark.parametrize(("options", "message"), [
    ({"architecture": "orig"}, "architecture=orig"),
    ({"mbstd_num_features": 2}, "mbstd_num_features=2"), ({"label_size": 3}, "label_size=3"),
])
def test_discriminator_that_is_refused_can_be_left_out(file: Make, options: dict[str, Any], message: str) -> None:
    path = file(of_critic=options)
    with pytest.raises(UserError, match=f"the discriminator: {message} is not supported.*part=generator"):
        convert(path)
    assert isinstance(convert(path, Choice(part="generator")), Imported)


def test_another_group_of_minibatch_deviation_is_told(file: Make) -> None:
    result = convert(file(of_critic={"mbstd_group_size": 8}))
    assert result.header.kind == "training"
    assert result.header.card["differs"] == ["minibatch deviation over groups of 4 instead of 8"]


def test_options_that_change_nothing(file: Make) -> None:
    options = {"resample_kernel": (1, 3, 3, 1), "truncation_psi": 0.5, "randomize_noise": True, "architecture": "skip"}
    assert convert(file(options=options)).header.space["resolution"] == 32
