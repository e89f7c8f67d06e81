"""Which figures a report has: from runs and quantities to calls of `figures`, each with the stem of its files."""

import re
from collections.abc import Iterator, Sequence
from math import isnan
from typing import TYPE_CHECKING

from anycost.reporting.figures import draw_curves, draw_front, draw_pictures, draw_quality
from anycost.reporting.gather import RunResults
from anycost.reporting.groups import Group, Quantity, Value
from anycost.reporting.points import Cost, CostPoint
from anycost.reporting.searches import SearchView
from anycost.reporting.tables import price_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Named = tuple[str, "Figure"]
_MOST_CURVES = 8
_MOST_PICTURES = 3
_LOSSES = ("train/d_loss", "train/g_loss", "train/consistency_pixel", "train/consistency_perceptual", "train/r1")


def quantity_figures(quantity: Quantity, groups: Sequence[Group], stem: str) -> Iterator[Named]:
    """Against cost where several architectures were measured; over training where there are several instants."""
    points = {group.label(): _points(group, quantity) for group in groups}
    points = {name: own for name, own in points.items() if own}
    if any(len({point.macs for point in own}) > 1 for own in points.values()):
        yield f"{stem}_vs_macs", draw_quality(points, protocol=quantity.title)
    curves = _curves(quantity, groups)
    if curves:
        yield f"{stem}_over_kimg", draw_curves(curves, protocol=quantity.title)


def _points(group: Group, quantity: Quantity) -> list[CostPoint]:
    values = group.last(quantity)
    points = []
    for label, measurement in group.architectures(quantity).items():
        price = price_of(group, measurement)
        if price:
            mean, error = values[label].mean, _error(values[label])
            resolution = measurement.architecture.resolution
            points.append(CostPoint(mean, price.macs_paper, price.macs, None, label, resolution, error))
    return points


def _curves(quantity: Quantity, groups: Sequence[Group]) -> dict[str, list[tuple[float, float, float]]]:
    """Every architecture of a single group; the first one of each of several groups.

    What is 0 by definition (the full generator's distance to itself) is left out.
    """
    curves = {}
    for group in groups:
        found = {label: group.curve(quantity, label) for label in group.architectures(quantity)}
        shown = [label for label, curve in found.items() if len(curve) > 1 and any(one.mean for one in curve)]
        for label in shown[:_MOST_CURVES] if len(groups) == 1 else shown[:1]:
            name = label if len(groups) == 1 else f"{group.label()}: {label}"
            curves[name] = [(one.kimg, one.mean, _error(one)) for one in found[label]]
    return curves


def _error(value: Value) -> float:
    return 0.0 if isnan(value.std) else value.std


def front_figures(search: SearchView) -> Iterator[Named]:
    """Against multiply-adds, and against milliseconds where they are known."""
    costs: list[tuple[Cost, str]] = [("macs_paper", "macs"), ("latency_ms", "ms")]
    for cost, name in costs:
        if any(point.cost(cost) is not None for point in search.evaluated):
            yield (
                f"{safe(search.name)}_front_{name}",
                draw_front(
                    search.evaluated, search.uniform, cost,
                    protocol=search.protocol, device=search.device, winners=search.winners_by(cost),
                ),
            )  # fmt: skip


def grid_figures(runs: Sequence[RunResults]) -> Iterator[Named]:
    """The newest grids side by side, a few to a figure."""
    drawn = {run.name: run.grid for run in runs if run.grid}
    names = list(drawn)
    for start in range(0, len(names), _MOST_PICTURES):
        part = names[start : start + _MOST_PICTURES]
        number = f"_{start // _MOST_PICTURES + 1}" if len(names) > _MOST_PICTURES else ""
        yield f"grids{number}", draw_pictures({name: drawn[name] for name in part})


def loss_figures(runs: Sequence[RunResults]) -> Iterator[Named]:
    """The logged losses of each run."""
    for run in runs:
        curves = {
            name.removeprefix("train/").replace("_", " "): [
                (row["kimg"], row[name], 0.0) for row in run.rows if name in row
            ]
            for name in _LOSSES
        }
        curves = {name: curve for name, curve in curves.items() if len(curve) > 1}
        if curves:
            yield f"{safe(run.name)}_losses", draw_curves(curves, protocol="training losses", log=True)


def safe(name: str) -> str:
    """A part of a file name."""
    return re.sub(r"[^\w.=-]+", "_", name).strip("_")
