"""Weights carried over between stages: single -> multi-resolution -> conditioned discriminators, and generators."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.generator import Generator


@dataclass(frozen=True)
class CarryOver:
    """What `carry_over` did: names copied, left at their fresh values, and present in the source alone."""

    copied: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{len(self.copied)} tensors carried over"]
        parts += [f"{len(self.fresh)} fresh ({_heads(self.fresh)})"] if self.fresh else []
        parts += [f"{len(self.unused)} unused ({_heads(self.unused)})"] if self.unused else []
        return ", ".join(parts)


def _heads(names: list[str]) -> str:
    return ", ".join(sorted({".".join(name.split(".")[:2]) for name in names}))


# What a later stage may add: inputs for lower resolutions and the conditioning.
_MAY_BE_FRESH = ("from_rgb.", ".condition.")


def carry_over(source: Mapping[str, Tensor], target: nn.Module) -> CarryOver:
    """Copy `source` into `target` by name, in place; layouts of `target` stay.

    Only `from_rgb` and `condition` layers may keep fresh values; anything else that is missing or of another shape is a
    `UserError`, raised before a single value changes.
    """
    own = target.state_dict()
    fresh = [name for name in own if name not in source]
    wrong = [name for name in own if name in source and source[name].shape != own[name].shape]
    missing = [name for name in fresh if not any(part in name for part in _MAY_BE_FRESH)]
    if wrong:
        name = wrong[0]
        raise UserError(
            f"the weights do not fit the model: {name} is {list(source[name].shape)} in the file and "
            f"{list(own[name].shape)} here ({len(wrong)} such tensors); check model= and data.resolution="
        )
    if missing:
        raise UserError(f"the weights do not fit the model: {_heads(missing)} are missing; check data.resolution=")
    copied = [name for name in own if name in source]
    with torch.no_grad():
        for name in copied:
            own[name].copy_(source[name])
    return CarryOver(copied, fresh, [name for name in source if name not in own])


def network_part(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of one network of a file or checkpoint, by their names in that network; empty where it has none."""
    return {key.removeprefix(f"{name}."): x for key, x in weights.items() if key.startswith(f"{name}.")}


def generator_of(source: Mapping[str, Tensor]) -> Generator:
    """The frozen generator that the tensors `source` are: its form is read off their shapes."""
    points, levels, depth = (
        sum(re.fullmatch(rf"{layers}\.\d+\.weight", name) is not None for name in source)
        for layers in ("layers", "to_rgb", r"mapping\.layers")
    )
    channels = (source["constant"].shape[1], *(source[f"layers.{p}.weight"].shape[0] for p in range(points)))
    space = ArchitectureSpace(2 << levels, num_resolutions=1, channels=channels)
    with torch.random.fork_rng(devices=[]):
        generator = Generator(space, source["to_rgb.0.modulation.weight"].shape[1], depth)
    generator.load_state_dict(source)
    return generator.requires_grad_(False)
