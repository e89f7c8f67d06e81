"""Latency of any architecture of a space, predicted from times of its layers that were measured once on this machine.

A prediction is `scale * (fixed + sum of the layers' times)`. Times are minima over rounds: what the machine needs
when nothing else runs on it, which is also the only figure that repeats on a busy one.
"""

import bisect
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.files import atomic_write
from anycost.networks.generator import Generator
from anycost.pricing.executors import Conditions, conditions
from anycost.pricing.macs import level_layers

FORMAT = 1


@dataclass(frozen=True)
class LayerTimes:
    """Milliseconds of one layer at a grid of channel counts: `ms[i][o]` at `inputs[i]` and `outputs[o]`, ascending."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ms: tuple[tuple[float, ...], ...]

    def at(self, inputs: int, outputs: int) -> float:
        """Bilinear between grid points, linear beyond them, never negative."""
        column = [_interpolate(self.outputs, row, outputs) for row in self.ms]
        return max(0.0, _interpolate(self.inputs, column, inputs))


def _interpolate(grid: Sequence[int], values: Sequence[float], at: int) -> float:
    if len(grid) == 1:
        return values[0]
    upper = min(max(bisect.bisect_left(grid, at), 1), len(grid) - 1)
    low, high = grid[upper - 1], grid[upper]
    share = (at - low) / (high - low)
    return values[upper - 1] * (1 - share) + values[upper] * share


@dataclass(frozen=True)
class PredictionError:
    """|predicted - measured| / measured of `architectures` random ones that the table was not made from."""

    median: float
    p90: float
    architectures: int
    rounds: int

    @property
    def is_poor(self) -> bool:
        """Whether the table says little: half of the predictions are further off than a tenth."""
        return not self.median <= 0.1

    def __str__(self) -> str:
        return (
            f"median {self.median:.1%}, p90 {self.p90:.1%} on {self.architectures} random architectures "
            f"that it was not made from, {self.rounds} rounds"
        )


@dataclass(frozen=True)
class LatencyTable:
    """What was measured. `fixed_ms` precedes the first layer (mapping); `layers` are as in `macs.executed_layers`.

    Args:
        scale: median over some whole architectures of measured latency / sum of the parts.
        error: of the predictions, measured in the same rounds.
    """

    space: ArchitectureSpace
    latent_dim: int
    mapping_layers: int
    conditions: Conditions
    fixed_ms: float
    layers: tuple[LayerTimes, ...]
    scale: float
    error: PredictionError

    @staticmethod
    def measure(
        generator: Generator,
        executor: str = "plain",
        threads: int | None = None,
        dtype: str = "float32",
        batch_size: int = 1,
        seconds: float = 12.0,
        seed: int = 0,
        report: Callable[[str], None] | None = None,
    ) -> "LatencyTable":
        """Measure on the generator's device: as many rounds as fit into about `seconds`, at least four.

        `report` is told how far it is. `Conditions` and `executors.py` say what the other arguments mean.
        """
        from anycost.pricing.layer_survey import survey

        return survey(generator, conditions(generator, executor, threads, dtype, batch_size), seconds, seed, report)

    @property
    def executor(self) -> str:
        return self.conditions.executor

    @property
    def device(self) -> str:
        """The device with threads, dtype, batch and version, in words."""
        return str(self.conditions)

    def predict_ms(self, architecture: Architecture) -> float:
        """Milliseconds of one call with `architecture`: a picture, or as many as the conditions' batch."""
        counts, known, total = architecture.channels, self._levels, self.fixed_ms
        for level in range(architecture.resolution.bit_length() - 2):
            key = (level, *counts[max(2 * level - 1, 0) : 2 * level + 2])
            part = known.get(key)
            if part is None:
                part = known[key] = self._level_ms(key)
            total += part
        return self.scale * total

    @cached_property
    def _levels(self) -> dict[tuple[int, ...], float]:
        return {}

    def _level_ms(self, key: tuple[int, ...]) -> float:
        level, counts = key[0], key[1:]
        first = 3 * level - 1 if level else 0
        layers = level_layers(self.space, level, counts)
        return sum(self.layers[first + place].at(one.inputs, one.outputs) for place, one in enumerate(layers))

    # ---- files

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {"format": FORMAT, **asdict(self)}

    @staticmethod
    def from_json(entry: dict[str, Any]) -> "LatencyTable":
        """The table that `to_json` wrote; its predictions are the same to the bit."""
        space: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry["space"].items()
        }
        layers = (
            LayerTimes(tuple(one["inputs"]), tuple(one["outputs"]), tuple(map(tuple, one["ms"])))
            for one in entry["layers"]
        )
        return LatencyTable(
            ArchitectureSpace(**space),
            entry["latent_dim"],
            entry["mapping_layers"],
            Conditions(**entry["conditions"]),
            entry["fixed_ms"],
            tuple(layers),
            entry["scale"],
            PredictionError(**entry["error"]),
        )

    def save(self, path: Path | str) -> None:
        """Write the table as JSON, whole or not at all."""
        with atomic_write(path, "w") as file:
            json.dump(self.to_json(), file, indent=1)

    @staticmethod
    def load(path: Path | str) -> "LatencyTable":
        """Read a saved table; `UserError` where the file is none."""
        try:
            entry = json.loads(Path(path).read_text(encoding="utf-8"))
            if entry["format"] != FORMAT:
                raise UserError(f"latency table {path} has format {entry['format']}; this version reads {FORMAT}")
            return LatencyTable.from_json(entry)
        except OSError as error:
            raise UserError(f"latency table {path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(f"{path} is not a latency table: delete it and it is measured again") from error


def cached_table(
    generator: Generator,
    wanted: Conditions,
    cache: Path,
    seconds: float = 12.0,
    report: Callable[[str], None] | None = None,
) -> LatencyTable:
    """The table of this generator's shape under these conditions: from `cache`/latency, or measured and kept there.

    One that a busy machine left is measured again, and the better of the two is kept; where that is still poor,
    `report` is told so.
    """
    path = table_path(generator, wanted, cache)
    table = LatencyTable.load(path) if path.is_file() else None
    if table is None or table.error.is_poor:
        from anycost.pricing.layer_survey import survey

        if table and report:
            report(f"latency table: the kept one has a median error of {table.error.median:.0%}: measuring again")
        new = survey(generator, wanted, seconds, report=report)
        if table is None or not table.error.median <= new.error.median:
            table = new
            table.save(path)
    warn_if_poor(table, "close other programs or set threads=1, and run again: it then measures again", report)
    return table


def warn_if_poor(table: LatencyTable, remedy: str, report: Callable[[str], None] | None) -> None:
    """Tell `report`, if there is one, that little can be built on the table."""
    if report and table.error.is_poor:
        report(
            f"WARNING: predicted milliseconds are not to be trusted, their error was {table.error}. The machine was "
            f"busy: {remedy}"
        )


def table_path(generator: Generator, wanted: Conditions, cache: Path) -> Path:
    """Where the table lies: its name is made from the space, the mapping and the conditions."""
    mapping = [generator.latent_dim, len(generator.mapping.layers)]
    content = json.dumps([FORMAT, asdict(wanted), asdict(generator.space), mapping], sort_keys=True)
    digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    return cache.expanduser() / "latency" / f"{wanted.executor}-{generator.space.resolution}px-{digest}.json"
