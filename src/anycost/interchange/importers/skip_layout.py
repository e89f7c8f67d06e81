"""Keys of rosinality's StyleGAN2, which the official Anycost code took over and extended [A Sec. 11].

`w` is stored as N(0, 1)/lr_mul and modulation biases around 1, as ours are: nothing is transposed or scaled.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from anycost.errors import UserError
from anycost.interchange.importers.assembling import Part, Rule, assemble, check_filter
from anycost.interchange.importers.spaces import resolution_of


def is_generator(state: Any) -> bool:
    """Whether `state` is the state dict of such a generator."""
    return isinstance(state, Mapping) and {"input.input", "conv1.conv.weight"} <= set(state)


def _squeezed(tensor: Tensor) -> Tensor:
    return tensor.squeeze(0)


def _scalar(tensor: Tensor) -> Tensor:
    return tensor.reshape(())


def _colours(tensor: Tensor) -> Tensor:
    return tensor.reshape(3)


def read_generator(state: Mapping[str, Any]) -> Part:
    """A generator's state dict in our names."""
    levels = 1 + _count(state, r"to_rgbs\.\d+\.bias")
    resolution_of(levels)
    kernels = _filters(state, r"convs\.\d+\.conv\.blur\.kernel|to_rgbs\.\d+\.upsample\.kernel", total=4)
    return assemble(state, generator_rules(levels, _count(state, r"style\.\d+\.weight")), kernels)


def _count(state: Mapping[str, Any], pattern: str) -> int:
    return sum(re.fullmatch(pattern, str(name)) is not None for name in state)


def _filters(state: Mapping[str, Any], pattern: str, total: float) -> list[str]:
    """Names of the constant filters, each of them looked at."""
    names = [name for name in state if re.fullmatch(pattern, str(name))]
    for name in names:
        check_filter(state[name], name, total)
    return names


def generator_rules(levels: int, mapping_layers: int) -> list[Rule]:
    """Our names and theirs for a generator of `levels` resolutions."""
    rules = [Rule("constant", "input.input")]
    for layer in range(mapping_layers):
        rules += [Rule(f"mapping.layers.{layer}.{kind}", f"style.{layer + 1}.{kind}") for kind in ("weight", "bias")]
    for point in range(2 * levels - 1):
        ours, theirs = f"layers.{point}", f"convs.{point - 1}" if point else "conv1"
        rules += [
            *_modulated(ours, theirs),
            Rule(f"{ours}.noise_strength", f"{theirs}.noise.weight", _scalar),
            Rule(f"{ours}.bias", f"{theirs}.activate.bias"),
            Rule(f"{ours}.noise", f"noises.noise_{point}"),
        ]
    for level in range(levels):
        ours, theirs = f"to_rgb.{level}", f"to_rgbs.{level - 1}" if level else "to_rgb1"
        rules += [*_modulated(ours, theirs), Rule(f"{ours}.bias", f"{theirs}.bias", _colours)]
    return rules


def _modulated(ours: str, theirs: str) -> list[Rule]:
    return [
        Rule(f"{ours}.weight", f"{theirs}.conv.weight", _squeezed),
        Rule(f"{ours}.modulation.weight", f"{theirs}.conv.modulation.weight"),
        Rule(f"{ours}.modulation.bias", f"{theirs}.conv.modulation.bias"),
    ]


def read_discriminator(state: Any) -> Part:
    """A discriminator's state dict in our names: single, multi-resolution, or conditioned.

    The single one keeps its blocks behind the input in `convs`; the others have one input per resolution there, from
    the highest down, and `blocks` beside it.
    """
    if not isinstance(state, Mapping):
        raise UserError(f"d is no state dict but {type(state).__name__}")
    several = any(str(name).startswith("blocks.") for name in state)
    conditioned = any("_mapping." in str(name) for name in state)
    inputs = _count(state, r"convs\.\d+\.0\.weight")
    blocks = _count(state, r"(convs|blocks)\.\d+\.skip\.1\.weight")
    resolution = resolution_of(blocks + 1)
    kernels = _filters(state, r"(convs|blocks)\.\d+\.(conv2|skip)\.0\.kernel", total=1)
    rules = [
        rule
        for entry in range(max(inputs, 1))
        for rule in _activated(f"from_rgb.{resolution >> entry}", f"convs.{entry}", 0, 1)
    ]
    for block in range(blocks):
        side = resolution >> block
        theirs = f"blocks.{block}" if several else f"convs.{block + 1}"
        rules += _block_rules(f"blocks.{side}", theirs, conditioned and side in (16, 8))
    rules += _activated("final_conv", "final_conv", 0, 1)
    for ours, theirs in (("final_dense", "final_linear.0"), ("logit", "final_linear.1")):
        rules += [Rule(f"{ours}.{kind}", f"{theirs}.{kind}") for kind in ("weight", "bias")]
    return assemble(state, rules, kernels)


def _activated(ours: str, theirs: str, conv: int, bias: int) -> list[Rule]:
    return [Rule(f"{ours}.weight", f"{theirs}.{conv}.weight"), Rule(f"{ours}.bias", f"{theirs}.{bias}.bias")]


def _block_rules(ours: str, theirs: str, conditioned: bool) -> list[Rule]:
    """The modulation of a conditioned block stands between convolution and bias, whose number it shifts."""
    shift = int(conditioned)
    rules = [
        *_activated(f"{ours}.conv1", f"{theirs}.conv1", 0, 1 + shift),
        *_activated(f"{ours}.conv2", f"{theirs}.conv2", 1, 2 + shift),
        Rule(f"{ours}.skip.weight", f"{theirs}.skip.1.weight"),
    ]
    for layer, place in (("conv1", 1), ("conv2", 2), ("skip", 2)) if conditioned else ():
        for own, other in (("scale", "weight_mapping"), ("shift", "bias_mapping")):
            rules += [
                Rule(f"{ours}.{layer}.condition.{own}.{kind}", f"{theirs}.{layer}.{place}.{other}.{kind}")
                for kind in ("weight", "bias")
            ]
    return rules
