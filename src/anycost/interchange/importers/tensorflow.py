"""TensorFlow pickles of StyleGAN2: a tuple (G, D, Gs) of networks, each with a list of named variables [A Sec. 11].

Convolutions are height, width, inputs, outputs; dense weights inputs, outputs; modulation biases lack the 1. The
kernels of up-convolutions alone are turned round: TensorFlow's code flips them itself before it transposes the
convolution.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from anycost.errors import UserError
from anycost.interchange.header import shown
from anycost.interchange.importers.assembling import Part, Rule, assemble, deviation_differs, is_plain
from anycost.interchange.importers.imported import Choice, Imported
from anycost.interchange.importers.networks import Networks, build
from anycost.interchange.importers.spaces import resolution_of

_COMMON = {
    "num_channels": 3, "label_size": 0, "fmap_decay": 1.0, "fmap_min": 1, "nonlinearity": "lrelu",
    "resample_kernel": [1, 3, 3, 1],
}  # fmt: skip
_GENERATOR = _COMMON | {
    "architecture": "skip", "mapping_nonlinearity": "lrelu", "mapping_lrmul": 0.01, "normalize_latents": True,
    "use_noise": True,
}  # fmt: skip
_DISCRIMINATOR = _COMMON | {"architecture": "resnet", "mbstd_num_features": 1}


def recognises(content: Any) -> bool:
    """Three networks, each with its variables."""
    return isinstance(content, tuple | list) and len(content) == 3 and all(map(is_network, content))


def is_network(value: Any) -> bool:
    """Whether `value` stands for a network of TensorFlow's StyleGAN code."""
    state = getattr(value, "state", None)
    return isinstance(state, Mapping) and isinstance(state.get("variables"), tuple | list)


def read(content: tuple[Any, Any, Any], choice: Choice) -> Imported:
    """The generator that `choice` names, with its own mean style, and the discriminator."""
    generator = content[{"ema": 2, "raw": 0}[choice.weights]]
    options = _check_options(generator, _GENERATOR)
    variables = _variables(generator)
    networks = Networks(
        source="TensorFlow StyleGAN2 pickle",
        weights=choice.weights,
        generator=_read_generator(variables),
        discriminator=lambda: _read_discriminator(content[1]),
        truncation_mean=variables.get("dlatent_avg"),
        hint=_ladder(options),
    )
    return build(networks, choice)


# ---- networks


def _check_options(network: Any, supported: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options that the network was made with; `UserError` that names one that ours cannot follow."""
    options = network.state.get("static_kwargs", {})
    if not isinstance(options, Mapping):
        raise UserError("static_kwargs is no dictionary")
    for name, wanted in supported.items():
        if name in options and not is_plain(options[name], wanted):
            raise UserError(f"{name}={shown(options[name])} is not supported, only {name}={wanted}")
    return options


def _variables(network: Any, prefix: str = "") -> dict[str, Any]:
    """Name -> value, of the network and its components (`mapping` and `synthesis`)."""
    if not is_network(network):
        raise UserError(f"{prefix or 'the network'} is no network of a known kind")
    components = network.state.get("components", {})
    if not isinstance(components, Mapping):
        raise UserError("components is no dictionary")
    found = {}
    for entry in network.state["variables"]:
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise UserError(f"{prefix}variables is no list of names and values")
        found[f"{prefix}{entry[0]}"] = entry[1]
    for name, component in components.items():
        found |= _variables(component, f"{prefix}{name}/")
    return found


def _ladder(options: Mapping[str, Any]) -> tuple[Any, Any]:
    """(multiplier, channel_cap) that the file states; its `fmap_base` is 16384 for our multiplier 2."""
    base = options.get("fmap_base", 16384)
    return (base / 8192 if isinstance(base, int | float) else None), options.get("fmap_max", 512)


# ---- changes


def _conv(tensor: Tensor) -> Tensor:
    return tensor.permute(3, 2, 0, 1)


def _turned(tensor: Tensor) -> Tensor:
    return tensor.permute(3, 2, 0, 1).flip(2, 3)


def _dense(tensor: Tensor) -> Tensor:
    return tensor.permute(1, 0)


def _plus_one(tensor: Tensor) -> Tensor:
    return tensor + 1


# ---- generator and discriminator


def _read_generator(variables: Mapping[str, Any]) -> Part:
    if any(re.match(r"synthesis/ToRGB_lod\d", name) for name in variables):
        raise UserError(
            "a generator that grows (ToRGB_lod...): only StyleGAN2 with skips (configs E and F) is supported"
        )
    if any(re.match(r"mapping/Label", name) for name in variables):
        raise UserError("class-conditional (mapping/Label...): networks with labels are not supported")
    levels = sum(re.fullmatch(r"synthesis/\d+x\d+/ToRGB/weight", name) is not None for name in variables)
    mapping_layers = sum(re.fullmatch(r"mapping/Dense\d+/weight", name) is not None for name in variables)
    resolution_of(levels)
    return assemble(variables, _generator_rules(levels, mapping_layers), ("lod", "dlatent_avg", "synthesis/lod"))


def _generator_rules(levels: int, mapping_layers: int) -> list[Rule]:
    rules = [Rule("constant", "synthesis/4x4/Const/const")]
    for layer in range(mapping_layers):
        rules += _layer(f"mapping.layers.{layer}", f"mapping/Dense{layer}", _dense)
    for point in range(2 * levels - 1):
        side, up = 4 << (point + 1) // 2, point % 2 == 1
        ours = f"layers.{point}"
        theirs = f"synthesis/{side}x{side}/{'Conv0_up' if up else 'Conv1' if point else 'Conv'}"
        rules += [
            *_modulated(ours, theirs, _turned if up else _conv),
            Rule(f"{ours}.noise_strength", f"{theirs}/noise_strength"),
            Rule(f"{ours}.noise", f"synthesis/noise{point}"),
        ]
    for level in range(levels):
        side = 4 << level
        rules += _modulated(f"to_rgb.{level}", f"synthesis/{side}x{side}/ToRGB", _conv)
    return rules


def _layer(ours: str, theirs: str, change: Any) -> list[Rule]:
    return [Rule(f"{ours}.weight", f"{theirs}/weight", change), Rule(f"{ours}.bias", f"{theirs}/bias")]


def _modulated(ours: str, theirs: str, change: Any) -> list[Rule]:
    return [
        *_layer(ours, theirs, change),
        Rule(f"{ours}.modulation.weight", f"{theirs}/mod_weight", _dense),
        Rule(f"{ours}.modulation.bias", f"{theirs}/mod_bias", _plus_one),
    ]


def _read_discriminator(network: Any) -> Part:
    options = _check_options(network, _DISCRIMINATOR)
    differs = deviation_differs(options.get("mbstd_group_size", 4), "mbstd_group_size")
    variables = _variables(network)
    blocks = sum(re.fullmatch(r"\d+x\d+/Skip/weight", name) is not None for name in variables)
    resolution = resolution_of(blocks + 1)
    rules = _layer(f"from_rgb.{resolution}", f"{resolution}x{resolution}/FromRGB", _conv)
    for block in range(blocks):
        side = resolution >> block
        ours, theirs = f"blocks.{side}", f"{side}x{side}"
        rules += [
            *_layer(f"{ours}.conv1", f"{theirs}/Conv0", _conv),
            *_layer(f"{ours}.conv2", f"{theirs}/Conv1_down", _conv),
            Rule(f"{ours}.skip.weight", f"{theirs}/Skip/weight", _conv),
        ]
    rules += [
        *_layer("final_conv", "4x4/Conv", _conv),
        *_layer("final_dense", "4x4/Dense0", _dense),
        *_layer("logit", "Output", _dense),
    ]
    return replace(assemble(variables, rules, ("lod",)), differs=differs)
