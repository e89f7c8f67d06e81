"""Sub-generators that the official Anycost search found: JSON of channel counts, one entry per budget."""

from collections.abc import Mapping
from typing import Any

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.interchange.header import Header, shown
from anycost.interchange.importers.imported import Choice, Imported
from anycost.interchange.importers.spaces import resolution_of

_PUBLISHED = (("config_e", 1.0), ("config_f", 2.0))
_WIDEST = 2**15


def recognises(content: Any) -> bool:
    """Objects with `channels`, by name, or one such object."""
    if not isinstance(content, Mapping) or not content:
        return False
    entries = [content] if "channels" in content else content.values()
    return all(isinstance(entry, Mapping) and "channels" in entry for entry in entries)


def read(content: Mapping[str, Any], choice: Choice) -> Imported:
    """Our architectures, beside them everything that the entries held (`res`, `dist`, `macs`).

    The space is the smallest published one, config-E or config-F of the entries' length, that all counts fit.
    """
    named = {"architecture": content} if "channels" in content else dict(content)
    for name, entry in named.items():
        _check(shown(name), entry)
    label, space = _space(named)
    architectures = {}
    for name, entry in choice.pick(named, "architectures").items():
        resolution = entry.get("resolution", entry.get("res"))
        if not isinstance(resolution, int | None):
            raise UserError(f"{shown(name)}: res={shown(resolution)} is no resolution")
        architecture = space.from_channels(entry["channels"], resolution)
        # Without ratios, which are relative to the generator that is cut: whoever reads the file with it knows them.
        executed = {"resolution": architecture.resolution, "channels": list(architecture.channels)}
        architectures[str(name)] = {**entry, **executed}
    card = {"source": "official Anycost evolved configurations", "left_out": []}
    count = len(architectures)
    found = f"{count} architecture{'s' if count > 1 else ''} of {label} at {space.resolution} px"
    return Imported({}, Header("architectures", card=card), (found,), architectures)


def _check(name: str, entry: Mapping[str, Any]) -> None:
    channels = entry["channels"]
    counts = isinstance(channels, list) and all(type(count) is int and 1 <= count <= _WIDEST for count in channels)
    if not counts or not channels or len(channels) % 2:
        raise UserError(f"{name}: channels={shown(channels)} is no list of channel counts, two for each resolution")


def _space(entries: Mapping[str, Any]) -> tuple[str, ArchitectureSpace]:
    lengths = {len(entry["channels"]) for entry in entries.values()}
    if len(lengths) > 1:
        raise UserError(f"the entries are of different generators: {sorted(lengths)} channel counts")
    resolution = resolution_of(lengths.pop() // 2)
    most = [max(counts) for counts in zip(*(entry["channels"] for entry in entries.values()), strict=True)]
    for label, multiplier in _PUBLISHED:
        space = ArchitectureSpace(resolution, multiplier, num_resolutions=1)
        if all(count <= full for count, full in zip(most, space.full_channels, strict=True)):
            return label, space
    raise UserError(f"the channel counts {most} are more than config-F has: these are of a generator that is not known")
