"""Runs that differ by their seed only, as one: mean and standard deviation instead of a lucky number."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from anycost.metrics.records import Measurement
from anycost.reporting.gather import RunResults

_NOT_COMPARED = ("seed", "run", "resume", "callbacks", "logger", "metrics", "paths", "trainer", "schedule", "features",
                 "cluster")
"""What changes no result, or is stated elsewhere: measurements carry their own protocol."""
_DATA_SPEED = ("batch_size", "workers", "cache")
"""Settings of the data that change how fast images come, not which."""
HIGHER_IS_BETTER = ("precision_recall", "inception_score", "attributes")


@dataclass(frozen=True)
class Quantity:
    """What may share a column or an axis: one protocol (and part of it), one data set, one network that judged.

    Args:
        data: identity of the real images; what `_own_data` says where a measurement needs none.
        scope: `data` for people.
    """

    metric: str
    digest: str
    part: str
    data: str
    network: str
    kind: str
    scope: str

    @staticmethod
    def of(one: Measurement, run: RunResults) -> "Quantity":
        """The quantity of a measurement of `run`."""
        compared = one.data and one.protocol.reals != "none"  # records of earlier versions name data not looked at
        data, scope = (one.data, one.data) if compared else _own_data(run, one)
        return Quantity(one.metric, one.protocol.digest, one.part, data, one.network, one.protocol.kind, scope)

    @property
    def title(self) -> str:
        """For axes: the name, and an arrow to where better is."""
        return f"{self.metric} {'↑' if self.kind in HIGHER_IS_BETTER else '↓'}"


def _own_data(run: RunResults, one: Measurement) -> tuple[str, str]:
    """(identity, name) of what a measurement without reals can be compared on: the run's data and full resolution.

    Distances between a generator's own pictures depend on what it draws, and on the size at which it does. Where no
    configuration says what it was trained on, its weights stand for that.
    """
    side = run.prices.space.resolution if run.prices else run.config.get("model", {}).get("resolution", 0)
    size = f" at {side} px" if side else ""
    if "data" in run.config:
        data = {name: value for name, value in run.config["data"].items() if name not in _DATA_SPEED}
        return json.dumps([data, side], sort_keys=True), f"{data.get('name', 'unnamed')}{size}"
    source = one.weights or run.weights or run.name
    return json.dumps([source, side]), f"{source}{size}"


@dataclass(frozen=True)
class Value:
    """Mean over the runs of a group, with their standard deviation (of a sample; nan for a single run)."""

    mean: float
    std: float
    count: int
    kimg: float
    biased: bool = False


@dataclass(frozen=True)
class Group:
    """Runs with equal settings, seeds apart, trained equally far; `name` says what tells it from other groups."""

    name: str
    runs: Sequence[RunResults]

    def label(self) -> str:
        """For columns and legends: the name, and how many seeds stand behind it."""
        return self.name if len(self.runs) == 1 else f"{self.name} ({len(self.runs)} seeds)"

    def last(self, quantity: Quantity) -> dict[str, Value]:
        """By the architectures' labels: the newest value of every run, taken together."""
        newest = [{one.label: one for one in chosen(run, quantity)} for run in self.runs]
        return {label: together([run[label] for run in newest if label in run]) for label in _labels(newest)}

    def best(self, quantity: Quantity) -> dict[str, Value]:
        """By the architectures' labels: the best value of every run at any image count, taken together."""
        found = []
        for run in self.runs:
            own: dict[str, Measurement] = {}
            for one in chosen(run, quantity):
                if one.label not in own or is_better(one, own[one.label]):
                    own[one.label] = one
            found.append(own)
        return {label: together([run[label] for run in found if label in run]) for label in _labels(found)}

    def curve(self, quantity: Quantity, label: str) -> list[Value]:
        """All values of one architecture, one per image count, ascending; only counts that every run has."""
        by_count: dict[int, dict[str, Measurement]] = {}
        for run in self.runs:
            for one in chosen(run, quantity):
                if one.label == label:
                    by_count.setdefault(one.images, {})[run.name] = one
        whole = max(map(len, by_count.values()), default=0)
        return [together([*runs.values()]) for _, runs in sorted(by_count.items()) if len(runs) == whole]

    def architectures(self, quantity: Quantity) -> dict[str, Measurement]:
        """One measurement per architecture's label: it holds the architecture."""
        return {one.label: one for run in self.runs for one in chosen(run, quantity)}


def together(values: Sequence[Measurement]) -> Value:
    """Mean and standard deviation of one value per run."""
    numbers = [one.value for one in values]
    spread = stdev(numbers) if len(numbers) > 1 else nan
    biased = any(one.biased for one in values)
    return Value(fmean(numbers), spread, len(numbers), fmean(one.images for one in values) / 1000, biased)


def is_better(one: Measurement, other: Measurement) -> bool:
    """Whether `one` beats `other`, of the same quantity."""
    return one.value > other.value if one.protocol.kind in HIGHER_IS_BETTER else one.value < other.value


def quantities(runs: Sequence[RunResults]) -> list[Quantity]:
    """All that was measured, in the order of first appearance."""
    return list(dict.fromkeys(Quantity.of(one, run) for run in runs for one in run.measurements))


def group_runs(runs: Sequence[RunResults]) -> list[Group]:
    """Runs with measurements, those of equal settings together; the order is that of their first runs.

    A second run of the same seed is no further sample: it is a group of its own, with others of that kind.
    """
    by_settings: dict[tuple[str, int], list[RunResults]] = {}
    times: Counter[tuple[str, int | None]] = Counter()
    for run in runs:
        if run.measurements:
            settings = _settings(run)
            by_settings.setdefault((settings, times[settings, run.seed]), []).append(run)
            times[settings, run.seed] += 1
    names = _names(list(by_settings.values()))
    return [Group(name, members) for name, members in zip(names, by_settings.values(), strict=True)]


def _settings(run: RunResults) -> str:
    if not run.config:
        return str(run.folder)
    compared = {name: value for name, value in run.config.items() if name not in _NOT_COMPARED}
    compared["init_from"] = _start(run)
    compared["precision"] = run.config.get("trainer", {}).get("precision")
    compared["ema"] = run.config.get("callbacks", {}).get("ema")  # decides which weights are measured
    seedless = run.seed is None
    return json.dumps([compared, run.record.get("images"), str(run.folder) if seedless else ""], sort_keys=True)


def _start(run: RunResults) -> str:
    """`init_from`, or the name of the stage where it is an earlier one of the same pipeline."""
    text = str(run.config.get("init_from", ""))
    path = Path(text)
    return path.parent.name if path.is_absolute() and path.parent.parent.name == run.folder.parent.name else text


def _names(groups: Sequence[Sequence[RunResults]]) -> list[str]:
    """By the settings that vary between groups where they are few, else by the folder of the first run."""
    rows = [_row(group[0]) for group in groups]
    if all(rows) and len(set(rows)) == len(rows):
        return rows
    flat = [dict(_flat(group[0].config)) for group in groups]
    keys = sorted({key for one in flat for key in one if _compared(key)})
    varying = [key for key in keys if len({json.dumps(one.get(key)) for one in flat}) > 1]
    seeds = any(len(group) > 1 for group in groups)
    if not seeds or (len(groups) > 1 and not 1 <= len(varying) <= 2):
        return [group[0].name for group in groups]
    if len(groups) == 1:
        return [groups[0][0].name.rsplit("/", 1)[0]]
    names = [", ".join(f"{key.rpartition('.')[2]}={one.get(key)}" for key in varying) for one in flat]
    return names if len(set(names)) == len(names) else [group[0].name for group in groups]


def _row(run: RunResults) -> str:
    """`vanilla 0.5`: the run's place in the table of its multirun; empty where it has none."""
    table = run.config.get("table") or {}
    return " ".join(str(table[name]) for name in ("row", "column") if table.get(name))


def _compared(key: str) -> bool:
    return key.partition(".")[0] not in (*_NOT_COMPARED, "init_from")


def _flat(value: Any, prefix: str = "") -> Any:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def measured(run: RunResults, quantity: Quantity) -> list[Measurement]:
    """All that `run` has of this quantity, in its order."""
    return [one for one in run.measurements if Quantity.of(one, run) == quantity]


def chosen(run: RunResults, quantity: Quantity) -> list[Measurement]:
    """What counts of it, oldest first: later lines of a file replace earlier ones of the same image count."""
    own = (one for one in measured(run, quantity) if not is_stale(run, one))
    return sorted(own, key=lambda one: one.images)


def is_stale(run: RunResults, one: Measurement) -> bool:
    """Whether it was measured on a weights file that another one of the same length has replaced."""
    replaced = bool(one.weights and run.weights) and one.weights != run.weights
    return replaced and one.images == run.record.get("images")


def _labels(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(label for one in found for label in one))
