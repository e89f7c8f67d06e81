"""The table of a multirun: rows against architectures, one table a quantity; as Markdown, as CSV, and as points."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

from anycost.files import atomic_write
from anycost.metrics.summary import readable_count
from anycost.pricing.price_list import Price
from anycost.reporting.gather import RunResults
from anycost.reporting.groups import HIGHER_IS_BETTER, Quantity
from anycost.reporting.points import CostPoint
from anycost.reporting.rows import Cell, Column, Row
from anycost.reporting.tables import cell_text, markdown, mean_text

_COLUMNS = ("metric", "data", "row", "architecture", "resolution", "mean", "std", "seeds", "seeds_expected",
            "kimg", "biased", "macs", "macs_paper", "parameters")  # fmt: skip


def rows_section(rows: Sequence[Row]) -> str:
    """How many runs each row has, and what is known of those that are not finished."""
    lines = []
    for row in rows:
        states, kimg = row.states, sorted({run.kimg for run in row.finished})
        others = ", ".join(f"{count} {state}" for state, count in states.items() if state != "finished")
        lines.append([
            row.name + (" (others start from it)" if row.start else ""), str(row.seeds), f"{states['finished']}",
            others or "-", ", ".join(f"{one:g}" for one in kimg) or "-",
        ])  # fmt: skip
    header = ["row", "seeds", "runs finished", "other runs", "kimg"]
    unfinished = [_unfinished(row, run) for row in rows for run in row.runs if run.state != "finished"]
    parts = ["## Rows\n", markdown(header, lines)]
    if any(row.states.total() > row.states["finished"] for row in rows):
        parts.append("Values below are those of finished runs.\n")
    return "\n".join([*parts, "\n".join(unfinished) + "\n" if unfinished else ""]).rstrip("\n") + "\n"


def _unfinished(row: Row, run: RunResults) -> str:
    length = (run.config.get("stage") or {}).get("kimg")
    far = f" at {run.kimg:g}" + (f" of {length:g}" if isinstance(length, int | float) else "") + " kimg"
    place = f", {run.config['table']['column']}" if (run.config.get("table") or {}).get("column") else ""
    error = f": {run.error}" if run.error else ""
    return f"- {row.name}{place}, seed {run.seed}: {run.state}{far if run.record else ''}{error} (`{run.folder.name}`)"


def ablation_table(rows: Sequence[Row], quantity: Quantity) -> str:
    """Rows against columns, the best of each column in bold; starting points in a table of their own below."""
    found = {row.name: row.cells(quantity) for row in rows}
    main = [row for row in rows if not row.start]
    starts = [row for row in rows if row.start and found[row.name]]
    parts = []
    if columns := _columns(main, found):
        best = {column: _best([found[row.name][column] for row in main if column in found[row.name]], quantity)
                for column in columns}  # fmt: skip
        shown = [row for row in main if found[row.name] or not row.finished]
        parts.append(_table(shown, columns, found, best))
    if columns := _columns(starts, found):
        parts += ["Where rows start from:\n", _table(starts, columns, found, {})]
    return "\n".join(parts)


def _table(
    rows: Sequence[Row], columns: Sequence[Column], found: Mapping[str, Mapping[Column, Cell]],
    best: Mapping[Column, str],
) -> str:  # fmt: skip
    prices = {column: _price(rows, found, column) for column in columns}
    lines = [
        [title, *(readable_count(getattr(price, name)) if (price := prices[column]) else "-" for column in columns), ""]
        for title, name in (("MACs", "macs"), ("MACs (paper)", "macs_paper"))
    ]
    for row in rows:
        own = found[row.name]
        texts = []
        for column in columns:
            if column not in own:
                texts.append("-")
                continue
            text = cell_text(own[column].value, row.seeds)
            texts.append(f"**{text}**" if mean_text(own[column].value) == best.get(column) else text)
        lines.append([row.name, *texts, _seeds(row)])
    return markdown(["row", *(column.title for column in columns), "seeds"], lines)


def _seeds(row: Row) -> str:
    """`3`; where some are missing, of how many, and in which state the others are."""
    done = len({run.seed for run in row.finished})
    states = [f"{count} {state}" for state, count in row.states.items() if state != "finished"]
    return f"{done}" if done == row.seeds and not states else f"{done} of {row.seeds} ({', '.join(states)})"


def _price(rows: Sequence[Row], found: Mapping[str, Mapping[Column, Cell]], column: Column) -> Any:
    """What the column costs in the first row that knows."""
    return next((cell.price for row in rows if (cell := found[row.name].get(column)) and cell.price), None)


def _columns(rows: Sequence[Row], found: Mapping[str, Mapping[Column, Cell]]) -> list[Column]:
    columns = dict.fromkeys(column for row in rows for column in found[row.name])
    return sorted(columns, key=lambda column: column.order)


def _best(cells: Sequence[Cell], quantity: Quantity) -> str:
    """The best mean as it is written; empty where all are written alike: one row, equal ones, 0 by definition."""
    choose = max if quantity.kind in HIGHER_IS_BETTER else min
    best = choose(cells, key=lambda cell: cell.value.mean)
    return mean_text(best.value) if len({mean_text(cell.value) for cell in cells}) > 1 else ""


def row_points(rows: Sequence[Row], quantity: Quantity) -> dict[str, list[CostPoint]]:
    """What the figure of value against cost shows of each row; empty unless some row has several widths.

    Rows share their architectures, so each of these is labelled once: at its greatest value.
    """
    points = {row.name: list(_points(row, quantity)) for row in rows if not row.start}
    points = {name: own for name, own in points.items() if any(point.value for point in own)}
    everything = [point for own in points.values() for point in own]
    highest = {(point.resolution, point.label): point for point in sorted(everything, key=lambda one: one.value)}
    if len(highest) == len({resolution for resolution, _ in highest}):
        return {}
    return {name: [one if highest[one.resolution, one.label] is one else replace(one, label="") for one in own]
            for name, own in points.items()}  # fmt: skip


def _points(row: Row, quantity: Quantity) -> Iterator[CostPoint]:
    """One for each network that the row executes: several columns may be one (narrow layers at a channel cap)."""
    same: dict[tuple[int, float], list[tuple[Column, Cell, Price]]] = {}
    for column, cell in row.cells(quantity).items():
        if cell.price:
            same.setdefault((column.resolution, cell.price.macs), []).append((column, cell, cell.price))
    for (resolution, _), own in same.items():
        _, cell, price = own[0]
        error = 0.0 if isnan(cell.value.std) else cell.value.std
        label = ", ".join(column.name for column, _, _ in own)
        yield CostPoint(cell.value.mean, price.macs_paper, price.macs, None, label, resolution, error)


def write_table_csv(rows: Sequence[Row], quantities: Sequence[Quantity], path: Path) -> None:
    """Every cell of every table in a line of its own, for other programs."""
    with atomic_write(path, "w") as file:
        writer = csv.DictWriter(file, _COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for quantity in quantities:
            for row in rows:
                cells = row.cells(quantity).items()
                writer.writerows(_csv_line(quantity, row, column, cell) for column, cell in cells)


def _csv_line(quantity: Quantity, row: Row, column: Column, cell: Cell) -> dict[str, Any]:
    value = cell.value
    line = {"metric": quantity.metric, "data": quantity.scope, "row": row.name,
            "architecture": column.name, "resolution": column.resolution, "mean": value.mean,
            "std": "" if isnan(value.std) else value.std, "seeds": value.count, "seeds_expected": row.seeds,
            "kimg": value.kimg, "biased": value.biased}  # fmt: skip
    if cell.price:
        line |= {"macs": cell.price.macs, "macs_paper": cell.price.macs_paper, "parameters": cell.price.parameters}
    return line
