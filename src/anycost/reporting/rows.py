"""Rows of a multirun: which runs stand in one line of its table, how far they have come, and what stands in a cell.

A run's row is its `table.row` (`vanilla/256_075` is a run of the row `vanilla`), else the overrides in which it differs
from the others. Its column is the architecture that was measured; where it has a `table.column` (a generator trained
for one width) it fills that one with its full generator.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from anycost.metrics.records import Measurement
from anycost.pricing.price_list import Price
from anycost.reporting.gather import Multirun, RunResults
from anycost.reporting.groups import Quantity, Value, chosen, together

_PART = "/"
_REFERENCE = "row:"
_NAMES = ("run", "resume", "experiments", "paths", "logger", "cluster", "table")
"""Overrides, or their groups, that say where runs lie or what they consist of, and change no result by themselves."""


@dataclass(frozen=True)
class Column:
    """An architecture as columns know it: `full` or a ratio, and the resolution of its pictures."""

    name: str
    resolution: int

    @property
    def title(self) -> str:
        return f"{self.name}@{self.resolution}"

    @property
    def order(self) -> tuple[int, float]:
        """High resolutions first, and wide ones first within them; what is no ratio comes last."""
        try:
            width = inf if self.name == "full" else float(self.name)
        except ValueError:
            width = 0.0
        return -self.resolution, -width


@dataclass(frozen=True)
class Cell:
    """Mean and deviation over seeds, and what the architecture costs in the generator of this row."""

    value: Value
    price: Price | None


@dataclass(frozen=True)
class Row:
    """One line: `runs` in any state; `seeds` is how many every column of it should have.

    `start` marks a row that is there for others to start from; `files` is how many of the table's make up the row.
    """

    name: str
    runs: Sequence[RunResults] = ()
    seeds: int = 1
    start: bool = False
    files: int = 0

    @property
    def places(self) -> list[tuple[str, str]]:
        """The (row, column) that its runs name: one generator of each for every seed."""
        return list(dict.fromkeys((_table(run, "row"), _table(run, "column")) for run in self.runs)) or [("", "")]

    @property
    def states(self) -> Counter[str]:
        """How many of its runs are in which state; those that nobody has begun are counted too."""
        counts = Counter(run.state for run in self.runs)
        missing = self.seeds * max(len(self.places), self.files) - len(self.runs)
        return counts + Counter({"not started": missing})

    @property
    def finished(self) -> list[RunResults]:
        """One run for each place and seed, trained as far as any of its place."""
        done = [run for run in self.runs if run.state == "finished"]
        longest = {place: max((run.kimg for run in done if _place(run) == place), default=0) for place in self.places}
        whole = [run for run in done if run.kimg == longest[_place(run)]]
        return list({(_place(run), run.seed): run for run in reversed(whole)}.values())[::-1]

    def cells(self, quantity: Quantity) -> dict[Column, Cell]:
        """The newest values of this quantity, taken together over seeds; wide columns first."""
        found: dict[Column, list[tuple[RunResults, Measurement]]] = {}
        for run in self.finished:
            newest = {one.label: one for one in chosen(run, quantity)}
            for one in newest.values():
                if column := column_of(run, one):
                    found.setdefault(column, []).append((run, one))
        return {
            column: Cell(together([one for _, one in own]), own[0][0].price(own[0][1].architecture))
            for column, own in sorted(found.items(), key=lambda pair: pair[0].order)
        }


def column_of(run: RunResults, one: Measurement) -> Column | None:
    """Where a value stands.

    None for what does not belong to the table: of a generator trained for one width, all but its full architecture, and
    its comparison with itself.
    """
    name, _, resolution = _table(run, "column").partition("@")
    if not name:
        return Column(one.label.partition("@")[0], one.architecture.resolution)
    itself = (one.protocol.target or "").startswith("full generator")
    if one.label != "full" or itself:
        return None
    return Column(name, int(resolution) if resolution.isdigit() else one.architecture.resolution)


def table_rows(runs: Sequence[RunResults]) -> list[Row]:
    """The rows of the multiruns among `runs`, in the order in which their tables list them.

    Empty where there is one row only: its seeds are a group like any other.
    """
    sweeps: dict[Path, list[RunResults]] = {}
    for run in runs:
        if run.multirun:
            sweeps.setdefault(run.multirun.folder, []).append(run)
    rows = [row for own in sweeps.values() for row in _rows(own, f"{own[0].multirun.folder.name}: "  # type: ignore[union-attr]
                                                           if len(sweeps) > 1 else "")]  # fmt: skip
    return rows if len(rows) > 1 else []


def _rows(runs: Sequence[RunResults], prefix: str) -> list[Row]:
    sweep = runs[0].multirun
    assert sweep
    keys = [key for key in sweep.keys if key.partition(".")[0] not in _NAMES]
    varying = [key for key in keys if len({_value(run.job, key) for run in runs}) > 1]
    seeds = len({*sweep.seeds, *(run.seed for run in runs)})
    lines: dict[str, list[RunResults]] = {}
    for run in runs:
        lines.setdefault(_line(run, varying, sweep), []).append(run)
    starts = _starting_points(runs)
    rows = [
        Row(prefix + name, own, seeds, all(_table(run, "row") in starts for run in own), _files(own, sweep))
        for name, own in lines.items()
    ]
    places = {row.name: min(_position(_table(run, "row"), sweep) for run in row.runs) for row in rows}
    for position, experiment in enumerate(sweep.experiments):
        if not any(_is_file_of(experiment, _table(run, "row")) for run in runs):
            rows.append(Row(prefix + experiment.rpartition("/")[2], (), seeds))
            places[rows[-1].name] = position
    return sorted(rows, key=lambda row: places[row.name])


def _files(runs: Iterable[RunResults], sweep: Multirun) -> int:
    """How many files of the table are generators of this row: of `vanilla` one for each width, begun or not."""
    names = {row.partition(_PART)[0] for run in runs if _PART in (row := _table(run, "row")) or _table(run, "column")}
    return sum(any(_is_file_of(file, name) for name in names) for file in sweep.experiments)


def _line(run: RunResults, varying: Iterable[str], sweep: Multirun) -> str:
    """The row's name: `vanilla`; `vanilla, gamma=10` where that is swept too; `mode=flexible`; of a pipeline's stage
    `model=small multires`."""
    row = _table(run, "row").partition(_PART)[0]
    parts = [f"{key.rpartition('.')[2]}={_value(run.job, key)}" for key in varying]
    name = ", ".join([row, *parts] if row else parts) or sweep.folder.name
    return name if run.folder.parent == sweep.folder else f"{name} {run.folder.name}"


def _starting_points(runs: Iterable[RunResults]) -> set[str]:
    """Rows that others name to start from, or to learn from, and that name no column of their own."""
    texts = {str(text) for run in runs
             for text in (run.config.get("init_from"), run.config.get("stage", {}).get("teacher"))}  # fmt: skip
    named = {text.removeprefix(_REFERENCE) for text in texts if text.startswith(_REFERENCE)}
    return named - {_table(run, "row") for run in runs if _table(run, "column")}


def _position(row: str, sweep: Multirun) -> int:
    """Where the table lists the row; after all others where it does not."""
    found = [place for place, name in enumerate(sweep.experiments) if _is_file_of(name, row)]
    return min(found, default=len(sweep.experiments))


def _is_file_of(experiment: str, row: str) -> bool:
    """Whether the file `table2/vanilla_256_075` is one of the row `vanilla/256_075`, or of `vanilla`."""
    stem = experiment.rpartition("/")[2]
    return bool(row) and (stem == row.replace(_PART, "_") or stem.startswith(f"{row}_"))


def _place(run: RunResults) -> tuple[str, str]:
    return _table(run, "row"), _table(run, "column")


def _table(run: RunResults, name: str) -> str:
    return str((run.config.get("table") or {}).get(name) or "")


def _value(config: Mapping[str, Any], key: str) -> str:
    """The value of a key in a run's configuration; the name of what was chosen where the key is a group."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return str(value.get("name")) if isinstance(value, Mapping) else str(value)
