"""Checkpoints of the official Anycost code: published generators, multi-resolution ones, and those of its trainer."""

import math
from collections.abc import Mapping
from typing import Any

from anycost.errors import UserError
from anycost.interchange.header import shown
from anycost.interchange.importers.imported import Choice, Imported
from anycost.interchange.importers.networks import Networks, build
from anycost.interchange.importers.skip_layout import is_generator, read_discriminator, read_generator
from anycost.interchange.importers.spaces import PUBLISHED_RATIOS

PUBLISHED_RESOLUTIONS = 4
_TRAINER = ("epoch", "fid", "best_fid")


def recognises(content: Any) -> bool:
    """A generator's state dict by itself, or under `g_ema` or `g`."""
    if is_generator(content):
        return True
    return isinstance(content, Mapping) and any(is_generator(content.get(key)) for key in ("g_ema", "g"))


def read(content: Mapping[str, Any], choice: Choice) -> Imported:
    """The generator that `choice` names, with the discriminator of a trainer's checkpoint.

    The format does not say how many resolutions are trained; without a multi-resolution discriminator it is taken to
    be the paper's four.
    """
    content = {"g_ema": content} if is_generator(content) else content
    progress = {key: content[key] for key in _TRAINER if _is_number(content.get(key))}
    networks = Networks(
        source="official Anycost checkpoint" if progress else "official Anycost generator",
        weights=choice.weights,
        generator=read_generator(chosen(content, choice)),
        discriminator=(lambda: read_discriminator(content["d"])) if "d" in content else None,
        num_resolutions=PUBLISHED_RESOLUTIONS,
        ratios=PUBLISHED_RATIOS,
        left_out=left_out(content, ("g", "d", "g_ema", *progress)),
        more=progress,
    )
    return build(networks, choice)


def chosen(content: Mapping[str, Any], choice: Choice) -> Mapping[str, Any]:
    """The state dict of the averaged or the raw generator; `UserError` where the file has the other one alone."""
    key = {"ema": "g_ema", "raw": "g"}[choice.weights]
    if not is_generator(content.get(key)):
        other = "raw" if choice.weights == "ema" else "ema"
        raise UserError(f"weights={choice.weights}: the file has no {key}; weights={other} takes the other generator")
    return content[key]


def left_out(content: Mapping[str, Any], taken: tuple[str, ...]) -> tuple[str, ...]:
    """The top-level entries that nothing is made of."""
    return tuple(shown(key) for key in content if key not in taken)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
