"""The header of a weights file: what it says of itself, and what it may say (docs/weights.md explains every field)."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from anycost.architecture import ArchitectureSpace, ladder
from anycost.errors import UserError

FORMAT = 2
"""1: generators without a truncation mean, no checksum. 2: with both. Older formats are read as they are."""
KINDS = ("training", "generator", "embedded", "encoder", "attribute_predictor", "directions", "latents")
GENERATORS = ("training", "generator")
"""Kinds that hold a generator."""
NOT_STATED = "not stated"
WIDEST = 2**15  # channels of a layer, length of a latent: far above all that exists, so that no lie takes long
_HIGHEST = 2**14
_DEEPEST = 16  # objects and lists within each other


@dataclass(frozen=True)
class Header:
    """What a weights file says of itself.

    Args:
        kind: one of `KINDS`: `training` (generator and discriminator at the end of a stage), `generator`, or what else
            the project keeps as weights.
        space: fields of the `ArchitectureSpace`, where there is a generator.
        model: latent_dim and mapping_layers, where there is a generator; options of the other networks.
        card: where it comes from: stage, data, images, seed, version, weights (`ema` or `raw`), ladder, source.
        licence: under which the weights may be used.
    """

    kind: str
    space: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    licence: str = NOT_STATED
    format: int = FORMAT


def header_text(header: Header) -> str:
    """The header as JSON. Raises `UserError` for one that `parse_header` would not take."""
    text = json.dumps(header.__dict__, sort_keys=True)
    parse_header(text, "this header")
    return text


def parse_header(text: str, source: str) -> Header:
    """The header from its JSON; anything that is not one is a `UserError` that begins with `source`."""
    try:
        entries = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        json.dumps(entries, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # ValueError: also lone surrogates and endless integers
        raise UserError(f"{source}: its header is not JSON ({type(error).__name__}); the file is damaged") from error
    if not isinstance(entries, dict) or _deeper_than(_DEEPEST, entries):
        raise UserError(f"{source}: its header is no flat JSON object; the file is damaged")
    _check_format(entries.get("format"), source)
    unknown = sorted(set(entries) - {spec.name for spec in fields(Header)})
    if unknown:
        raise UserError(f"{source}: its header has unknown fields ({shown(', '.join(unknown))})")
    header = Header(**{"kind": None, **entries})
    try:
        _check(header)
    except UserError as error:
        raise UserError(f"{source}: its header does not hold: {error}") from error
    return header


def space_of(entries: Mapping[str, Any]) -> ArchitectureSpace:
    """The space from its fields as JSON keeps them; `UserError` for fields that are none, or outside all bounds."""
    for name, value in entries.items():
        if name not in _SPACE:
            raise UserError(f"space has an unknown field {shown(name)}")
        if not _SPACE[name](value):
            raise UserError(f"space.{name}={shown(value)} is not within what can be")
    if "resolution" not in entries:
        raise UserError("space has no resolution")
    values: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in entries.items()}
    space = ArchitectureSpace(**values)
    if min(ladder(space.resolution, space.multiplier, space.channel_cap)) < 1:
        raise UserError(f"space.multiplier={space.multiplier:g} leaves layers without a channel")
    return space


def generator_form(header: Header) -> tuple[ArchitectureSpace, int, int]:
    """Space, latent_dim and mapping_layers of the generator that `header` describes; `UserError` where it has none."""
    if header.kind not in GENERATORS or not header.space:
        raise UserError(f"these weights hold no generator (kind={header.kind})")
    return space_of(header.space), header.model["latent_dim"], header.model["mapping_layers"]


def ladder_entry(space: ArchitectureSpace) -> dict[str, list[int]]:
    """Full channels by resolution, for the reader of a card: `{"4": [512, 512], ...}`, two channel points each."""
    counts = space.full_channels
    return {str(4 << level): list(counts[2 * level : 2 * level + 2]) for level in range(len(counts) // 2)}


def shown(value: Any, length: int = 80) -> str:
    """`value` from a file, fit for a message: one line, printable, not too long."""
    text = value if isinstance(value, str) else repr(value)
    cut = text if len(text) <= length else f"{text[: length - 3]}..."
    return "".join(c if c.isprintable() else "?" for c in cut)


def _check_format(number: Any, source: str) -> None:
    if type(number) is not int or number < 1:
        raise UserError(f"{source}: format={shown(number)} is no version of the format; the file is damaged")
    if number > FORMAT:
        raise UserError(
            f"{source} has format {shown(number)}; this version of anycost reads formats up to {FORMAT}: "
            "install a newer anycost"
        )


def _check(header: Header) -> None:
    if header.kind not in KINDS:
        raise UserError(f"kind={shown(header.kind)} is not one of {', '.join(KINDS)}; install a newer anycost")
    for name in ("space", "model", "card"):
        if not isinstance(getattr(header, name), dict):
            raise UserError(f"{name}={shown(getattr(header, name))} is not an object")
    if not isinstance(header.licence, str) or not header.licence.strip():
        raise UserError(f"licence={shown(header.licence)} is not a text")
    if header.card.get("weights", "ema") not in ("ema", "raw"):
        raise UserError(f"card.weights={shown(header.card['weights'])} is neither ema nor raw")
    if not header.space:
        return
    space = space_of(header.space)
    if header.card.get("ladder", ladder_entry(space)) != ladder_entry(space):
        raise UserError("card.ladder is not that of its space")
    if header.kind in GENERATORS:
        _check_model(header.model)


def _check_model(model: Mapping[str, Any]) -> None:
    if set(model) != {"latent_dim", "mapping_layers"}:
        raise UserError(f"model has the fields {shown(sorted(model))}, not latent_dim and mapping_layers")
    for name, least, most in (("latent_dim", 1, WIDEST), ("mapping_layers", 0, 128)):
        if not _whole(least, most)(model[name]):
            raise UserError(f"model.{name}={shown(model[name])} is not within {least} .. {most}")


def _deeper_than(levels: int, value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 1 or _deeper_than(levels - 1, one) for one in inner if isinstance(one, dict | list))


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _positive(most: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and 0 < value <= most


def _several(one: Callable[[Any], bool], most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and 1 <= len(value) <= most and all(map(one, value))


_SPACE: dict[str, Callable[[Any], bool]] = {
    "resolution": _whole(4, _HIGHEST),
    "multiplier": _positive(2**10),
    "channel_cap": _whole(1, WIDEST),
    "num_resolutions": _whole(1, 16),
    "ratios": _several(_positive(1), 16),
    "min_channels": _whole(1, WIDEST),
    "divided_by": _whole(1, WIDEST),
    "channels": lambda value: value is None or _several(_whole(1, WIDEST), 64)(value),
}
