"""Which figures a report has: from runs and quantities to calls of `figures`, each with the stem of its files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, TypeVar

from anycost.reporting.ablation import row_points
from anycost.reporting.figures import draw_curves, draw_front, draw_quality
from anycost.reporting.gather import RunResults
from anycost.reporting.groups import HIGHER_IS_BETTER, Group, Quantity, Value
from anycost.reporting.pictures import comparable_grids, draw_pictures
from anycost.reporting.points import Cost, CostPoint
from anycost.reporting.rows import Row
from anycost.reporting.searches import SearchView
from anycost.reporting.tables import price_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Named = tuple[str, "Figure"]
Content = TypeVar("Content")
_MOST_CURVES = 8
_MOST_PICTURES = 3
_LOSSES = ("train/d_loss", "train/g_loss", "train/consistency_pixel", "train/consistency_perceptual", "train/r1")


def quantity_figures(
    quantity: Quantity, groups: Sequence[Group], stem: str, rows: Sequence[Row] = ()
) -> Iterator[Named]:
    """Against cost where several architectures were measured; over training where there are several instants.

    Runs that have nothing but zeros (the full generator's distance to itself) are left out: they show nothing. Where
    there are `rows`, a line is one of these.
    """
    points = row_points(rows, quantity) if rows else _group_points(groups, quantity)
    if any(len({point.macs for point in own}) > 1 for own in points.values()):
        log = quantity.kind not in HIGHER_IS_BETTER
        yield f"{stem}_vs_macs", draw_quality(points, protocol=quantity.title, log=log)
    curves = _curves(quantity, groups)
    if curves:
        yield f"{stem}_over_kimg", draw_curves(curves, protocol=quantity.title)


def _group_points(groups: Sequence[Group], quantity: Quantity) -> dict[str, list[CostPoint]]:
    points = {group.label(): _points(group, quantity) for group in groups}
    return short_names({name: own for name, own in points.items() if any(point.value for point in own)})


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
    names = short_names({group.label(): group for group in groups if group.architectures(quantity)})
    for name, group in names.items():
        found = {label: group.curve(quantity, label) for label in group.architectures(quantity)}
        shown = [label for label, curve in found.items() if len(curve) > 1 and any(one.mean for one in curve)]
        for label in shown[:_MOST_CURVES] if len(names) == 1 else shown[:1]:
            title = label if len(names) == 1 else f"{name}: {label}"
            curves[title] = [(one.kimg, one.mean, _error(one)) for one in found[label]]
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
    """The newest grids side by side, a few to a figure; pages of one architecture only where there is nothing else."""
    drawn = short_names(comparable_grids({run.name: run.grid for run in runs if run.grid}))
    figures = list(_side_by_side(list(drawn)))
    for number, names in enumerate(figures, start=1):
        suffix = f"_{number}" if len(figures) > 1 else ""
        yield f"grids{suffix}", draw_pictures({name: drawn[name] for name in names})


def _side_by_side(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Stages of one pipeline (or runs of one multirun) together, then what is alone in its folder."""
    parents = [name.rpartition("/")[0] for name in names]
    together: dict[str, list[str]] = {}
    for name, parent in zip(names, parents, strict=True):
        together.setdefault(parent if parents.count(parent) > 1 else "", []).append(name)
    for own in together.values():
        yield from (own[start : start + _MOST_PICTURES] for start in range(0, len(own), _MOST_PICTURES))


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


def short_names(named: Mapping[str, Content]) -> dict[str, Content]:
    """The same by names without the folders that all of them begin with: what is left tells them apart."""
    names = list(named)
    while len(names) > 1 and all("/" in name and "=" not in name for name in names):
        if len({name.partition("/")[0] for name in names}) > 1:
            break
        names = [name.partition("/")[2] for name in names]
    return dict(zip(names, named.values(), strict=True))


def safe(name: str) -> str:
    """A part of a file name."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_")
