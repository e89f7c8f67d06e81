"""The figures of reports, searches and dashboards: drawn for print, values of one protocol per axis.

Every function returns a matplotlib `Figure`; `style.write_figure` writes it as PNG and PDF.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from anycost.reporting.labels import Place, place_labels, steps
from anycost.reporting.points import Cost, CostPoint, front, with_cost
from anycost.reporting.style import (
    INK,
    PALE,
    SINGLE,
    legend_above,
    log_axis,
    new_figure,
    style_of,
    styled,
    wrapped,
)
from anycost.reporting.value_axis import ValueAxis, set_linear

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Label: TypeAlias = tuple[float, float, str, str]
"""Where a direct label belongs (x, y), its text and colour."""
COST_LABELS: dict[Cost, str] = {
    "macs_paper": "multiply-adds, paper's convention ({})",
    "macs": "multiply-adds ({})",
    "latency_ms": "latency of one image (ms{})",
}


@styled
def draw_front(
    points: Sequence[CostPoint],
    uniform: Sequence[CostPoint],
    x: Cost = "macs_paper",
    *,
    protocol: str = "distance to the full generator",
    device: str = "",
    winners: Sequence[CostPoint] = (),
) -> "Figure":
    """Distance against cost: the front as a step line, every evaluated point pale, the uniform ones by resolution.

    Where positive distances span more than a decade, their axis is logarithmic, so that the small distances of large
    architectures can be told apart; the full generator's own distance of 0 lies on the lower border, whose tick says
    0 (see `ValueAxis`). Uniform points are markers without lines: nothing between them was measured.

    Args:
        points: everything that was evaluated (the uniform ones may be among them).
        uniform: the uniform sub-generators; `label` is written beside each, colours tell the resolutions apart.
        x: the cost axis; points without this cost are left out.
        protocol: name of what `value` is; the y-axis.
        device: for milliseconds: the machine.
        winners: the architectures chosen at budgets; ringed, with their labels.
    """
    figure = new_figure(SINGLE, 2.4, rows=2)
    axes = figure.add_subplot()
    heights = ValueAxis.of([point for _, point in with_cost([*points, *uniform], x)])
    points, uniform, winners = heights.shown(points), heights.shown(uniform), heights.shown(winners)
    pairs = with_cost([*points, *uniform], x)
    unit, _ = cost_unit(x, [cost for cost, _ in pairs])
    best = [(cost / unit, point.value) for cost, point in with_cost(front([*points, *uniform], x), x)]
    marked = {*best, *((cost / unit, point.value) for cost, point in with_cost(uniform, x))}
    _plot_evaluated(axes, [place for cost, one in pairs if (place := (cost / unit, one.value)) not in marked])
    right = max(cost for cost, _ in pairs) / unit
    axes.step(
        [cost for cost, _ in best] + [right], [value for _, value in best] + [best[-1][1]],
        where="post", color=INK, linewidth=1.1, zorder=3, label="front", clip_on=False,
    )  # fmt: skip
    axes.plot(*zip(*best, strict=True), linestyle="none", marker="o", markersize=2.2, color=INK, zorder=3)
    labelled = _plot_by_resolution(axes, uniform, x, unit, linestyle="none")
    chosen = _one_label_a_point([(cost / unit, point.value, point.label, INK) for cost, point in with_cost(winners, x)])
    if chosen:
        axes.plot(
            [one[0] for one in chosen], [one[1] for one in chosen], linestyle="none", marker="o", markersize=6.5,
            markerfacecolor="none", markeredgecolor=INK, markeredgewidth=0.8, zorder=5, label="at a budget",
            clip_on=False,
        )  # fmt: skip
    heights.finish(axes)
    _finish_cost_axes(axes, pairs, x, protocol, device)
    legend_above(figure, axes)
    place_labels(axes, [*chosen, *labelled], [steps(best)])
    return figure


def _plot_evaluated(axes: "Axes", places: Sequence[Place]) -> None:
    """Pale dots; nothing, in the legend neither, where other marks show all that was evaluated."""
    if places:
        axes.plot(
            *zip(*places, strict=True),
            linestyle="none", marker="o", markersize=2, color=PALE, markeredgewidth=0, label="evaluated",
        )  # fmt: skip


@styled
def draw_quality(
    groups: Mapping[str, Sequence[CostPoint]],
    x: Cost = "macs_paper",
    *,
    protocol: str,
    log: bool = True,
    device: str = "",
) -> "Figure":
    """A measured value against cost: one line per resolution, and per group of runs where there are several.

    One group: colours are resolutions. Several: colours are groups, markers resolutions. Points have their labels
    where these fit. Standard deviations over seeds are error bars. With `log`, the axis is logarithmic where positive
    values span more than a decade (see `ValueAxis`).
    """
    heights = ValueAxis.of([point for own in groups.values() for _, point in with_cost(own, x)], log)
    groups = {name: heights.shown(own) for name, own in groups.items()}
    points = [point for own in groups.values() for point in own]
    resolutions = {point.resolution for point in points}
    figure = new_figure(SINGLE, 2.2, rows=1 if len(groups) == 1 else max(len(groups), len(resolutions)))
    axes = figure.add_subplot()
    pairs = with_cost(points, x)
    unit, _ = cost_unit(x, [cost for cost, _ in pairs])
    if len(groups) == 1:
        labelled = _plot_by_resolution(axes, points, x, unit, "{} px")
    else:
        labelled = _plot_by_group(axes, groups, x, unit)
    heights.finish(axes)
    _finish_cost_axes(axes, pairs, x, protocol, device)
    legend_above(figure, axes, columns=4 if len(groups) == 1 else 2)
    place_labels(axes, labelled, [line for own in groups.values() for line in _lines(with_cost(own, x), unit)])
    return figure


@styled
def draw_curves(
    curves: Mapping[str, Sequence[tuple[float, float, float]]], *, protocol: str, log: bool = False
) -> "Figure":
    """`{label: [(kimg, value, standard deviation), ...]}`: a value over thousands of training images.

    A band of one standard deviation shows where there are several seeds.
    """
    columns = 4 if max(map(len, curves)) < 12 else 2
    figure = new_figure(SINGLE, 2.2, rows=-(-len(curves) // columns))
    axes = figure.add_subplot()
    for position, (label, curve) in enumerate(curves.items()):
        kimg, values, errors = zip(*curve, strict=True)
        style = style_of(position)
        few = len(curve) <= 12
        axes.plot(kimg, values, label=label, **(style if few else {"color": style["color"]}), markersize=2.6)
        if any(errors):
            below, above = zip(*((value - error, value + error) for _, value, error in curve), strict=True)
            axes.fill_between(kimg, below, above, color=style["color"], alpha=0.18, linewidth=0)
    bands = [(value - error, value + error) for curve in curves.values() for _, value, error in curve]
    everything = [value for band in bands for value in band]
    if log and min(everything) > 0:
        log_axis(axes, "y", everything)
    else:
        set_linear(axes, min(everything), max(everything))
    axes.set_xlim(left=0)
    axes.set_xlabel("training images (thousands)")
    axes.set_ylabel(wrapped(protocol))
    legend_above(figure, axes, columns)
    return figure


def _finish_cost_axes(
    axes: "Axes",
    pairs: Sequence[tuple[float, CostPoint]],
    x: Cost,
    protocol: str,
    device: str,
) -> None:
    unit, name = cost_unit(x, [cost for cost, _ in pairs])
    log_axis(axes, "x", [cost / unit for cost, _ in pairs])
    axes.set_xlabel(wrapped(COST_LABELS[x].format(name if x != "latency_ms" else f", {device}" if device else ""), 50))
    axes.set_ylabel(wrapped(protocol))


def cost_unit(x: Cost, costs: Sequence[float]) -> tuple[float, str]:
    """(what one tick is, its name): giga- or mega-multiply-adds, or milliseconds."""
    if x == "latency_ms":
        return 1.0, "ms"
    return (1e9, "G") if max(costs) >= 2e9 else (1e6, "M")


def _plot_by_resolution(
    axes: "Axes", points: Sequence[CostPoint], x: Cost, unit: float, name: str = "uniform {} px", **look: Any
) -> list[Label]:
    """A thin line and markers per resolution, highest first; returns the labels that the points want."""
    labelled = []
    for position, resolution in enumerate(sorted({point.resolution for point in points}, reverse=True)):
        own = with_cost([one for one in points if one.resolution == resolution], x)
        if not own:
            continue
        style = style_of(position)
        _plot_line(axes, own, unit, label=name.format(resolution) if resolution else "uniform", **style, **look)
        labelled += [(cost / unit, point.value, point.label.partition("@")[0], style["color"]) for cost, point in own]
    return list(dict.fromkeys(labelled))


def _plot_by_group(axes: "Axes", groups: Mapping[str, Sequence[CostPoint]], x: Cost, unit: float) -> list[Label]:
    """Colour by group, marker by resolution; the legend names both. Labels that stand for several groups are black."""
    resolutions = sorted({point.resolution for points in groups.values() for point in points}, reverse=True)
    rows = max(len(groups), len(resolutions))
    for colour, name in enumerate(groups):
        axes.plot([], [], color=style_of(colour)["color"], label=name)
    _blank_entries(axes, rows - len(groups))
    for position, resolution in enumerate(resolutions):
        axes.plot(
            [], [], linestyle="none", color=INK, marker=style_of(position)["marker"], label=f"{resolution} px"
        )  # fmt: skip
    _blank_entries(axes, rows - len(resolutions))
    for colour, points in enumerate(groups.values()):
        for position, resolution in enumerate(resolutions):
            own = with_cost([point for point in points if point.resolution == resolution], x)
            if own:
                _plot_line(
                    axes, own, unit, label=None, color=style_of(colour)["color"], marker=style_of(position)["marker"]
                )
    colours: dict[tuple[float, float, str], str] = {}
    shared = any(not point.label for points in groups.values() for point in points)
    for colour, points in enumerate(groups.values()):
        for cost, point in with_cost([point for point in points if point.label], x):
            place = cost / unit, point.value, point.label.partition("@")[0]
            colours[place] = INK if shared or place in colours else style_of(colour)["color"]
    return [(*place, colour) for place, colour in colours.items()]


def _blank_entries(axes: "Axes", count: int) -> None:
    """Fill a column of the legend, so that the next entry begins another."""
    for _ in range(count):
        axes.plot([], [], linestyle="none", label=" ")


def _plot_line(axes: "Axes", own: Sequence[tuple[float, CostPoint]], unit: float, **style: Any) -> None:
    errors = [point.error for _, point in own]
    axes.errorbar(
        [cost / unit for cost, _ in own], [point.value for _, point in own], yerr=errors if any(errors) else None,
        elinewidth=0.7, capsize=1.5, zorder=4, clip_on=False,
        **{"linewidth": 0.7, "linestyle": (0, (4, 2)), **style},
    )  # fmt: skip


def _lines(pairs: Sequence[tuple[float, CostPoint]], unit: float) -> list[list[Place]]:
    """The corners of the lines of the resolutions, and the error bars."""
    lines: dict[int, list[Place]] = {}
    for cost, point in pairs:
        lines.setdefault(point.resolution, []).append((cost / unit, point.value))
    bars = [
        [(cost / unit, point.value - point.error), (cost / unit, point.value + point.error)]
        for cost, point in pairs
        if point.error
    ]
    return [*lines.values(), *bars]


def _one_label_a_point(labels: Sequence[Label]) -> list[Label]:
    """Several budgets may have one winner: their names in one label."""
    texts: dict[tuple[float, float, str], list[str]] = {}
    for x, y, text, colour in labels:
        texts.setdefault((x, y, colour), []).append(text)
    return [(x, y, ", ".join(names), colour) for (x, y, colour), names in texts.items()]
