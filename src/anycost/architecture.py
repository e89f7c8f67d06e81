"""Architectures as values: which channels and which output resolution a sub-generator keeps [Anycost, Sec. 3.2].

Pure Python. A *channel point* is a place where a channel count is chosen: 0 the constant, 1 the convolution at 4 px,
then one up-convolution and one convolution per higher resolution. `points[p]` works at `4 * 2**(p // 2)` pixels.
"""

import hashlib
import itertools
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from anycost.errors import UserError

MODES = ("uniform", "flexible", "sandwich")
_BASE = 16384  # channels times resolution of config-E before the cap


def ladder(resolution: int, multiplier: float, channel_cap: int, ratio: float = 1.0) -> tuple[int, ...]:
    """Channels per point of the uniform sub-network: `min(cap, int(base(r) * ratio * m))`, two points a resolution.

    The cap comes after the ratio, so a half-width config-F *is* a config-E.
    """
    counts = []
    for r in _powers_of_two(resolution):
        counts += [min(channel_cap, int(_BASE / r * ratio * multiplier))] * 2
    return tuple(counts)


def _powers_of_two(resolution: int) -> list[int]:
    return [2**k for k in range(2, int(math.log2(resolution)) + 1)]


@dataclass(frozen=True)
class Architecture:
    """One sub-generator: output `resolution`, `channels` kept and `ratios` as told to the discriminator, per point.

    The lists always have the full model's length; entries above `resolution` exist and are not executed.
    """

    resolution: int
    channels: tuple[int, ...]
    ratios: tuple[float, ...]

    @property
    def key(self) -> tuple[int, tuple[int, ...]]:
        """What the generator executes: the resolution and the counts up to it."""
        return self.resolution, self.channels[: num_points(self.resolution)]

    def to_json(self) -> dict[str, Any]:
        return {"resolution": self.resolution, "channels": list(self.channels), "ratios": list(self.ratios)}

    @staticmethod
    def from_json(entry: dict[str, Any]) -> "Architecture":
        return Architecture(entry["resolution"], tuple(entry["channels"]), tuple(entry["ratios"]))


def num_points(resolution: int) -> int:
    """Channel points of a generator with this output resolution (= its style codes): `2 log2(r) - 2`."""
    return 2 * int(math.log2(resolution)) - 2


@dataclass(frozen=True)
class ArchitectureSpace:
    """What one generator supports. `channels` replaces the ladder for a generator of any other widths."""

    resolution: int
    multiplier: float = 1.0
    channel_cap: int = 512
    num_resolutions: int = 4
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    min_channels: int = 8
    divided_by: int = 4
    channels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.resolution < 4 or self.resolution & (self.resolution - 1):
            raise UserError(f"resolution={self.resolution} must be a power of two, 4 or more")
        if not 1 <= self.num_resolutions <= len(_powers_of_two(self.resolution)):
            raise UserError(
                f"num_resolutions={self.num_resolutions} does not fit a {self.resolution} px model: "
                f"it has the resolutions {_powers_of_two(self.resolution)}"
            )
        if self.ratios[-1] != 1.0 or list(self.ratios) != sorted(set(self.ratios)):
            raise UserError(f"ratios={self.ratios} must increase and end at 1")
        if min(self.full_channels) < 1 or len(self.full_channels) != self.num_points:
            raise UserError(
                f"multiplier={self.multiplier} and channel_cap={self.channel_cap} give the channels "
                f"{self.full_channels} at {self.resolution} px; each of the {self.num_points} points needs at least 1"
            )

    # ---- what there is

    @property
    def num_points(self) -> int:
        return num_points(self.resolution)

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Output resolutions that are trained, ascending: the highest `num_resolutions`."""
        return tuple(_powers_of_two(self.resolution)[-self.num_resolutions :])

    @cached_property
    def full_channels(self) -> tuple[int, ...]:
        return self.channels or ladder(self.resolution, self.multiplier, self.channel_cap)

    def point_resolution(self, point: int) -> int:
        return 4 << (point // 2)

    def allowed_ratios(self, point: int) -> tuple[float, ...]:
        """Ratios of the flexible mode at this point: none may fall below the smallest uniform network's count."""
        return self._allowed_ratios[point]

    @cached_property
    def _allowed_ratios(self) -> tuple[tuple[float, ...], ...]:
        if self.channels:
            bottom: Sequence[float] = [self.ratios[0] * full for full in self.channels]
        else:
            bottom = ladder(self.resolution, self.multiplier, self.channel_cap, self.ratios[0])
        return tuple(
            tuple(ratio for ratio in self.ratios if ratio * full >= least)
            for full, least in zip(self.full_channels, bottom, strict=True)
        )

    @cached_property
    def _flexible_counts(self) -> tuple[dict[float, int], ...]:
        """Per point, the count of each of the space's ratios: kept, since a search asks for millions."""
        return tuple({r: self._rounded(full, r) for r in self.ratios} for full in self.full_channels)

    # ---- making architectures

    def full(self, resolution: int | None = None) -> Architecture:
        return self._make(self.full_channels, (1.0,) * self.num_points, resolution)

    def uniform(self, ratio: float, resolution: int | None = None) -> Architecture:
        """Every point at `ratio`, which must be one of the space's."""
        if ratio not in self.ratios:
            raise UserError(f"ratio {ratio:g} is not one of {', '.join(f'{r:g}' for r in self.ratios)}")
        if self.channels:
            counts = tuple(max(1, int(ratio * full)) for full in self.channels)
        else:
            counts = ladder(self.resolution, self.multiplier, self.channel_cap, ratio)
        return self._make(counts, (ratio,) * self.num_points, resolution)

    def from_ratios(self, ratios: Sequence[float], resolution: int | None = None) -> Architecture:
        """Flexible mode: one ratio a point; counts are rounded up to multiples and kept within [min_channels, full]."""
        if len(ratios) != self.num_points:
            raise UserError(f"{len(ratios)} ratios were given; this space has {self.num_points} channel points")
        counts = tuple(self._flexible_count(point, ratio) for point, ratio in enumerate(ratios))
        return self._make(counts, tuple(ratios), resolution)

    def from_channels(self, channels: Sequence[int], resolution: int | None = None) -> Architecture:
        """From counts alone (the official JSON): each ratio is the nearest of the space's to count / full."""
        counts = tuple(int(count) for count in channels)
        if len(counts) != self.num_points:
            raise UserError(f"{len(counts)} channel counts were given; this space has {self.num_points} channel points")
        for point, (count, full) in enumerate(zip(counts, self.full_channels, strict=True)):
            if not 1 <= count <= full:
                raise UserError(f"channel count {count} at point {point} is not within 1 .. {full}")
        return self._make(counts, self._nearest_ratios(counts), resolution)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The form that prices, caches and searches compare: points above the resolution full, ratios by the counts."""
        executed = architecture.key[1]
        counts = executed + self.full_channels[len(executed) :]
        return self._make(counts, self._nearest_ratios(counts), architecture.resolution)

    def _make(self, channels: tuple[int, ...], ratios: tuple[float, ...], resolution: int | None) -> Architecture:
        resolution = self.resolution if resolution is None else resolution
        if resolution not in _powers_of_two(self.resolution):
            raise UserError(f"resolution {resolution} is not one of {_powers_of_two(self.resolution)}")
        if min(channels) < 1:
            raise UserError(f"ratio {min(ratios):g} leaves no channel in a layer of {self.full_channels}")
        return Architecture(resolution, channels, ratios)

    def _flexible_count(self, point: int, ratio: float) -> int:
        return self._flexible_counts[point].get(ratio) or self._rounded(self.full_channels[point], ratio)

    def _rounded(self, full: int, ratio: float) -> int:
        count = min(max(int(ratio * full), self.min_channels), full)
        return min(math.ceil(count / self.divided_by) * self.divided_by, full)

    def _nearest_ratios(self, counts: Sequence[int]) -> tuple[float, ...]:
        pairs = zip(counts, self.full_channels, strict=True)
        return tuple(min(self.ratios, key=lambda ratio: abs(ratio - count / full)) for count, full in pairs)

    # ---- drawing architectures

    def sample(self, rng: random.Random, mode: str, resolution: int | None = None) -> Architecture:
        """Draw as training does: `uniform`, `flexible`, `sandwich` (1/4 full, 1/4 smallest uniform, 1/2 flexible)."""
        if mode not in MODES:
            raise UserError(f"mode={mode} is not one of {', '.join(MODES)}")
        if mode == "uniform":
            return self.uniform(rng.choice(self.ratios), resolution)
        if mode == "sandwich":
            toss = rng.random()
            if toss < 0.25:
                return self.full(resolution)
            if toss < 0.5:
                return self.uniform(self.ratios[0], resolution)
        ratios = [rng.choice(self.allowed_ratios(point)) for point in range(self.num_points)]
        return self.from_ratios(ratios, resolution)

    def mutate(self, rng: random.Random, architecture: Architecture, rate: float) -> Architecture:
        """Redraw each gene (ratio per point, resolution) with probability `rate`; the result is a flexible one."""
        ratios = [
            rng.choice(self.allowed_ratios(point)) if rng.random() < rate else self._gene(point, count)
            for point, count in enumerate(self.canonical(architecture).channels)
        ]
        resolution = rng.choice(self.resolutions) if rng.random() < rate else architecture.resolution
        return self.from_ratios(ratios, resolution)

    def crossover(self, rng: random.Random, first: Architecture, second: Architecture) -> Architecture:
        """Take each gene from either parent with equal probability."""
        parents = (self.canonical(first), self.canonical(second))
        ratios = [self._gene(point, rng.choice(parents).channels[point]) for point in range(self.num_points)]
        return self.from_ratios(ratios, rng.choice(parents).resolution)

    def _gene(self, point: int, count: int) -> float:
        """The allowed ratio whose count is nearest; rounding may move a count towards another ratio's."""
        ratios = self.allowed_ratios(point)
        return min(ratios, key=lambda ratio: abs(self._flexible_count(point, ratio) - count))

    # ---- counting

    def _points(self, resolution: int) -> list[list[int]]:
        """Per executed point, the distinct counts of the flexible mode."""
        return [
            sorted({self._flexible_count(point, ratio) for ratio in self.allowed_ratios(point)})
            for point in range(num_points(resolution))
        ]

    def _extra(self, mode: str, resolution: int) -> set[tuple[int, ...]]:
        """Counts that `mode` draws as uniform networks and that are not in its flexible product."""
        if mode not in MODES:
            raise UserError(f"mode={mode} is not one of {', '.join(MODES)}")
        ratios = {"uniform": self.ratios, "flexible": (), "sandwich": self.ratios[:1]}[mode]
        uniform = {self.uniform(ratio, resolution).key[1] for ratio in ratios}
        if mode == "uniform":
            return uniform
        points = self._points(resolution)
        return {key for key in uniform if any(count not in at for count, at in zip(key, points, strict=True))}

    def count(self, mode: str = "flexible") -> int:
        """Distinct architectures (by what is executed) over the trained resolutions."""
        product = 0 if mode == "uniform" else 1
        return sum(
            len(self._extra(mode, resolution)) + product * math.prod(map(len, self._points(resolution)))
            for resolution in self.resolutions
        )

    def enumerate(self, mode: str = "flexible") -> Iterator[Architecture]:
        """Every distinct architecture, canonical, from the lowest resolution up."""
        for resolution in self.resolutions:
            product = () if mode == "uniform" else itertools.product(*self._points(resolution))
            for executed in itertools.chain(sorted(self._extra(mode, resolution)), product):
                yield self.canonical(self.from_channels(executed + self.full_channels[len(executed) :], resolution))

    # ---- for the discriminator

    def one_hot(self, architecture: Architecture) -> tuple[float, ...]:
        """The code that conditions the discriminator: one-hot of each point's ratio, as given; `4 * points` long."""
        return tuple(float(ratio == choice) for ratio in architecture.ratios for choice in self.ratios)

    # ---- text

    def label(self, architecture: Architecture) -> str:
        """Short name for tables and file names: `full`, `0.5`, `0.5@16`, or `flexible-<hash>@16`."""
        suffix = "" if architecture.resolution == self.resolution else f"@{architecture.resolution}"
        for ratio in reversed(self.ratios):
            if self.uniform(ratio, architecture.resolution).key == architecture.key:
                return ("full" if ratio == 1 else f"{ratio:g}") + suffix
        digest = hashlib.blake2b(repr(architecture.key).encode(), digest_size=3).hexdigest()
        return f"flexible-{digest}{suffix}"

    def parse(self, text: str) -> Architecture:
        """One architecture from `full`, `0.5`, `0.5@512`, `full@256`, `1@128`, `FILE.json` or `FILE.json:18G`."""
        found = self.parse_all(text)
        if len(found) != 1:
            name = next(iter(found))
            raise UserError(f"architecture={text} holds {len(found)} entries; name one, for example {text}:{name}")
        return next(iter(found.values()))

    def parse_all(self, text: str) -> dict[str, Architecture]:
        """All architectures that a text form names; a JSON file may hold several, keyed by their names."""
        text = str(text).strip()
        file, _, entry = text.rpartition(":") if ".json:" in text else (text, "", "")
        if file.endswith(".json"):
            return self._read_json(Path(file).expanduser(), entry)
        ratio, at, resolution = text.partition("@")
        try:
            number = 1.0 if ratio == "full" else float(ratio)
            size = int(resolution) if at else None
        except ValueError:
            raise UserError(
                f"architecture={text} is not understood; use full, a ratio such as 0.5, either with @RESOLUTION, "
                f"or FILE.json, FILE.json:NAME"
            ) from None
        try:
            return {text: self.uniform(number, size)}
        except UserError as error:
            raise UserError(f"architecture={text}: {error}") from error

    def parse_list(self, texts: Sequence[str]) -> dict[str, Architecture]:
        """All architectures that the texts name, by name; the same name twice gets as much of its file's as needed.

        `result:18G` is that of a second file, `two/search/result:18G` that of a third one called `result.json`.
        """
        found: dict[str, Architecture] = {}
        for text in texts:
            file = Path(text.rpartition(":")[0] if ".json:" in text else text).with_suffix("")
            for name, one in self.parse_all(text).items():
                longer = (f"{'/'.join(file.parts[-depth:])}:{name}" for depth in range(1, len(file.parts) + 1))
                own = (label for label in (name, *longer) if label not in found or found[label].key == one.key)
                found[next(own, f"{text}:{name}")] = one
        return found

    def _read_json(self, path: Path, name: str) -> dict[str, Architecture]:
        try:
            content = json.loads(path.read_text())
        except OSError as error:
            raise UserError(f"architecture file {path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"architecture file {path} is not JSON: {error}") from error
        if not isinstance(content, dict) or not content:
            raise UserError(f"architecture file {path} holds no architecture: neither channels, nor such by name")
        entries = {path.stem: content} if "channels" in content else content
        if name and name not in entries:
            raise UserError(f"architecture file {path} has no entry {name}; it has {', '.join(entries)}")
        return {key: self._from_entry(path, entries[key]) for key in ([name] if name else entries)}

    def _from_entry(self, path: Path, entry: Any) -> Architecture:
        if not isinstance(entry, dict) or not _is_list_of(int, entry.get("channels")):
            raise UserError(f"architecture file {path} has an entry without channel counts: {entry}")
        try:
            architecture = self.from_channels(entry["channels"], entry.get("resolution", entry.get("res")))
        except UserError as error:
            raise UserError(f"architecture file {path} does not fit this generator: {error}") from error
        if "ratios" not in entry:
            return architecture
        ratios = entry["ratios"]
        if not _is_list_of(float, ratios) or len(ratios) != self.num_points or set(ratios) - set(self.ratios):
            raise UserError(
                f"architecture file {path} has the ratios {ratios}; it needs {self.num_points} out of {self.ratios}"
            )
        return Architecture(architecture.resolution, architecture.channels, tuple(map(float, ratios)))


def _is_list_of(kind: type, value: Any) -> bool:
    numbers = (int, float) if kind is float else kind
    return isinstance(value, list) and all(isinstance(item, numbers) for item in value)
