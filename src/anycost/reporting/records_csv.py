"""records.csv: one row per measurement with every field, for other programs."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from anycost.files import atomic_write
from anycost.reporting.gather import RunResults

_FIRST = (
    "run", "stage", "seed", "images", "metric", "part", "label", "value", "error", "biased", "macs", "macs_paper",
    "parameters", "data", "weights", "date", "version",
)  # fmt: skip


def write_records_csv(runs: Sequence[RunResults], path: Path) -> int:
    """Write all measurements of `runs`; returns how many there are. Lists are written with spaces between."""
    rows = [row for run in runs for row in _rows(run)]
    columns = list(dict.fromkeys([*_FIRST, *(name for row in rows for name in row)]))
    with atomic_write(path, "w") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _rows(run: RunResults) -> Iterator[dict[str, Any]]:
    for one in run.measurements:
        row = {"run": run.name, "folder": str(run.folder), "stage": run.stage, "seed": run.seed}
        if price := run.price(one.architecture):
            row |= {"macs": price.macs, "macs_paper": price.macs_paper, "parameters": price.parameters}
        yield row | dict(_flat(one.to_json()))


def _flat(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in entry.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield prefix + name, " ".join(str(item) for item in value)
        else:
            yield prefix + name, value
