"""Pickles of stylegan2-ada-pytorch, and StyleGAN2 networks of stylegan3 [A Sec. 11].

The file holds modules as class name and state; of these, tensors and plain settings are read, and the source code that
comes with them is not looked at. Weights need no transposition or flip; biases of the affine layers include the 1.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from anycost.errors import UserError
from anycost.interchange.header import shown
from anycost.interchange.importers.assembling import Part, Rule, assemble, check_filter, deviation_differs, is_plain
from anycost.interchange.importers.imported import Choice, Imported
from anycost.interchange.importers.networks import Networks, build
from anycost.interchange.importers.spaces import resolution_of

_NETWORKS = ("G", "D", "G_ema")
_LINEAR = ("affine.activation", "skip.activation", "out.activation")


def recognises(content: Any) -> bool:
    """Modules under `G`, `D`, `G_ema`, of whatever architecture."""
    return isinstance(content, Mapping) and any(is_module(content.get(key)) for key in _NETWORKS)


def is_module(value: Any) -> bool:
    """Whether `value` stands for a module of PyTorch."""
    state = getattr(value, "state", None)
    return isinstance(state, Mapping) and {"_parameters", "_buffers", "_modules"} <= set(state)


def read(content: Mapping[str, Any], choice: Choice) -> Imported:
    """The generator that `choice` names, with its own mean style, and the discriminator."""
    key = {"ema": "G_ema", "raw": "G"}[choice.weights]
    if not is_module(content.get(key)):
        raise UserError(f"weights={choice.weights}: the file has no {key}")
    generator = flatten(content[key])
    _refuse_other_generators(generator)
    clamp = generator.settings.get("synthesis.b4.conv1.conv_clamp")
    clamped = isinstance(clamp, int | float)
    networks = Networks(
        source="NVIDIA StyleGAN2 pickle",
        weights=choice.weights,
        generator=replace(
            _read_generator(generator.tensors),
            differs=(f"activations beyond conv_clamp={clamp} are not clamped",) if clamped else (),
        ),
        discriminator=(lambda: _read_discriminator(flatten(content["D"]))) if is_module(content.get("D")) else None,
        truncation_mean=generator.tensors.get("mapping.w_avg"),
        hint=_ladder(generator),
        left_out=tuple(shown(key) for key in content if key not in _NETWORKS),
    )
    return build(networks, choice)


# ---- modules


@dataclass(frozen=True)
class Module:
    """A tree of modules, flat: tensors and plain settings by their path."""

    tensors: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def find(self, name: str) -> Iterator[tuple[str, Any]]:
        """Settings called `name`, anywhere in the tree, with their paths."""
        return ((path, value) for path, value in self.settings.items() if path.rpartition(".")[2] == name)


def flatten(module: Any) -> Module:
    """The state of a module and of all modules in it."""
    found = Module()
    _collect(module, "", found)
    return found


def _collect(module: Any, prefix: str, found: Module) -> None:
    if not is_module(module):
        raise UserError(f"{prefix or 'the network'} is no module of a known kind")
    for kind in ("_parameters", "_buffers", "_modules"):
        if not isinstance(module.state[kind], Mapping):
            raise UserError(f"{prefix}{kind} is no dictionary")
    for group in ("_parameters", "_buffers"):
        found.tensors.update({f"{prefix}{name}": x for name, x in module.state[group].items() if x is not None})
    found.settings.update({f"{prefix}{name}": x for name, x in module.state.items() if not str(name).startswith("_")})
    found.settings[f"{prefix}_init_kwargs"] = module.state.get("_init_kwargs")
    for name, child in module.state["_modules"].items():
        if child is not None:
            _collect(child, f"{prefix}{name}.", found)


# ---- the generator


def _refuse_other_generators(module: Module) -> None:
    names = module.tensors
    if any(re.match(r"synthesis\.(input\.|L\d+_)", name) for name in names):
        raise UserError("a StyleGAN3 generator (synthesis.input, L0_...): only StyleGAN2 networks can be converted")
    _refuse_labels(module)
    _refuse_settings(module, {"architecture": "skip", "activation": "lrelu", "img_channels": 3, "use_noise": True})
    for path, value in module.find("bias_gain"):
        expected = 0.01 if path.startswith("mapping.") else 1
        if not is_plain(value, expected):
            raise UserError(f"{path}={shown(value)}: a learning-rate multiplier other than {expected} is not supported")
    _check_filters(module)


def _refuse_labels(module: Module) -> None:
    labels = module.settings.get("c_dim", 0)
    if not is_plain(labels, 0) or any(name.startswith("mapping.embed.") for name in module.tensors):
        raise UserError(
            f"class-conditional (c_dim={shown(labels)}, mapping.embed): networks with labels are not supported"
        )


def _refuse_settings(module: Module, expected: Mapping[str, Any]) -> None:
    for name, wanted in expected.items():
        for path, value in module.find(name):
            here = "linear" if path.endswith(_LINEAR) else wanted
            if not is_plain(value, here):
                raise UserError(f"{path}={shown(value)} is not supported, only {name}={here}")


def _check_filters(module: Module) -> None:
    for name, value in module.tensors.items():
        if name.rpartition(".")[2] == "resample_filter":
            check_filter(value, name, total=1)


def _filters(tensors: Mapping[str, Any]) -> list[str]:
    return [name for name in tensors if str(name).rpartition(".")[2] == "resample_filter"]


def _ladder(module: Module) -> tuple[Any, Any]:
    """(multiplier, channel_cap) that the file states; its `channel_base` is 32768 for our multiplier 2."""
    options = module.settings.get("synthesis._init_kwargs")
    if not isinstance(options, Mapping):
        return None, None
    base = options.get("channel_base", 32768)
    return (base / 16384 if isinstance(base, int | float) else None), options.get("channel_max", 512)


def _read_generator(tensors: Mapping[str, Any]) -> Part:
    levels = sum(re.fullmatch(r"synthesis\.b\d+\.torgb\.weight", name) is not None for name in tensors)
    mapping_layers = sum(re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in tensors)
    resolution_of(levels)
    return assemble(tensors, _generator_rules(levels, mapping_layers), ["mapping.w_avg", *_filters(tensors)])


def _generator_rules(levels: int, mapping_layers: int) -> list[Rule]:
    rules = [Rule("constant", "synthesis.b4.const", _one_more)]
    for layer in range(mapping_layers):
        rules += _pair(f"mapping.layers.{layer}", f"mapping.fc{layer}")
    for point in range(2 * levels - 1):
        ours, theirs = f"layers.{point}", f"synthesis.b{4 << (point + 1) // 2}.conv{(point + 1) % 2}"
        rules += [
            *_pair(ours, theirs),
            *_pair(f"{ours}.modulation", f"{theirs}.affine"),
            Rule(f"{ours}.noise_strength", f"{theirs}.noise_strength"),
            Rule(f"{ours}.noise", f"{theirs}.noise_const", _two_more),
        ]
    for level in range(levels):
        ours, theirs = f"to_rgb.{level}", f"synthesis.b{4 << level}.torgb"
        rules += [*_pair(ours, theirs), *_pair(f"{ours}.modulation", f"{theirs}.affine")]
    return rules


def _pair(ours: str, theirs: str) -> list[Rule]:
    return [Rule(f"{ours}.{kind}", f"{theirs}.{kind}") for kind in ("weight", "bias")]


def _one_more(tensor: Tensor) -> Tensor:
    return tensor[None]


def _two_more(tensor: Tensor) -> Tensor:
    return tensor[None, None]


# ---- the discriminator


def _read_discriminator(module: Module) -> Part:
    tensors = module.tensors
    _refuse_labels(module)
    _refuse_settings(module, {"architecture": "resnet", "activation": "lrelu", "img_channels": 3})
    _refuse_settings(module, {"num_channels": 1})
    differs = deviation_differs(module.settings.get("b4.mbstd.group_size", 4), "b4.mbstd.group_size")
    _check_filters(module)
    blocks = sum(re.fullmatch(r"b\d+\.skip\.weight", name) is not None for name in tensors)
    resolution = resolution_of(blocks + 1)
    rules = _pair(f"from_rgb.{resolution}", f"b{resolution}.fromrgb")
    for block in range(blocks):
        side = resolution >> block
        rules += [*_pair(f"blocks.{side}.conv1", f"b{side}.conv0"), *_pair(f"blocks.{side}.conv2", f"b{side}.conv1")]
        rules.append(Rule(f"blocks.{side}.skip.weight", f"b{side}.skip.weight"))
    for ours, theirs in (("final_conv", "b4.conv"), ("final_dense", "b4.fc"), ("logit", "b4.out")):
        rules += _pair(ours, theirs)
    return replace(assemble(tensors, rules, _filters(tensors)), differs=differs)
