"""The figures of reports, searches and dashboards: drawn for print, values of one protocol per axis.

Every function returns a matplotlib `Figure`; `style.write_figure` writes it as PNG and PDF.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anycost.reporting.labels import along, place_labels
from anycost.reporting.points import Cost, CostPoint, front, with_cost
from anycost.reporting.style import (
    COLOURS,
    INK,
    MARKERS,
    PALE,
    SINGLE,
    legend_above,
    log_axis,
    new_figure,
    styled,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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

    Args:
        points: everything that was evaluated (the uniform ones may be among them).
        uniform: the uniform sub-generators; `label` is written beside each, colours tell the resolutions apart.
        x: the cost axis; points without this cost are left out.
        protocol: name of what `value` is; the y-axis.
        device: for milliseconds: the machine.
        winners: the architectures chosen at budgets; ringed, with their labels.
    """
    figure = new_figure(SINGLE, 2.7)
    axes = figure.add_subplot()
    pairs = with_cost([*points, *uniform], x)
    unit, name = cost_unit(x, [cost for cost, _ in pairs])
    best = [(point.cost(x) / unit, point.value) for point in front([*points, *uniform], x)]
    axes.plot(
        [cost / unit for cost, _ in pairs], [point.value for _, point in pairs],
        linestyle="none", marker="o", markersize=2, color=PALE, markeredgewidth=0, label="evaluated",
    )  # fmt: skip
    right = max(cost for cost, _ in pairs) / unit
    axes.step(
        [cost for cost, _ in best] + [right], [value for _, value in best] + [best[-1][1]],
        where="post", color=INK, linewidth=1.1, zorder=3, label="front",
    )  # fmt: skip
    axes.plot(*zip(*best, strict=True), linestyle="none", marker="o", markersize=2.2, color=INK, zorder=3)
    labelled = _plot_by_resolution(axes, uniform, x, unit)
    chosen = [(cost / unit, point.value, point.label, INK) for cost, point in with_cost(winners, x)]
    if chosen:
        axes.plot(
            [one[0] for one in chosen], [one[1] for one in chosen], linestyle="none", marker="o", markersize=6.5,
            markerfacecolor="none", markeredgecolor=INK, markeredgewidth=0.8, zorder=5, label="at a budget",
        )  # fmt: skip
    log_axis(axes, "x", [cost / unit for cost, _ in pairs])
    _from_zero(axes, [point.value for _, point in pairs])
    axes.set_xlabel(COST_LABELS[x].format(name if x != "latency_ms" else f", {device}" if device else ""))
    axes.set_ylabel(wrapped(protocol))
    legend_above(figure, axes)
    place_labels(axes, [*chosen, *labelled], along(best, steps=True))
    return figure


def cost_unit(x: Cost, costs: Sequence[float]) -> tuple[float, str]:
    """(what one tick is, its name): giga- or mega-multiply-adds, or milliseconds."""
    if x == "latency_ms":
        return 1.0, "ms"
    return (1e9, "G") if max(costs) >= 2e9 else (1e6, "M")


def _plot_by_resolution(
    axes: "Axes", points: Sequence[CostPoint], x: Cost, unit: float
) -> list[tuple[float, float, str, str]]:
    """A thin line and a marker per resolution, highest first; returns the labels that the points want."""
    labelled = []
    for position, resolution in enumerate(sorted({point.resolution for point in points}, reverse=True)):
        own = [
            (cost / unit, point.value, point.label)
            for cost, point in with_cost([one for one in points if one.resolution == resolution], x)
        ]
        if not own:
            continue
        colour = COLOURS[position % len(COLOURS)]
        axes.plot(
            [one[0] for one in own], [one[1] for one in own], color=colour, linewidth=0.7, linestyle=(0, (4, 2)),
            marker=MARKERS[position % len(MARKERS)], zorder=4,
            label=f"uniform {resolution} px" if resolution else "uniform",
        )  # fmt: skip
        labelled += [(cost, value, label.partition("@")[0], colour) for cost, value, label in own]
    return list(dict.fromkeys(labelled))


def _from_zero(axes: "Axes", values: Sequence[float]) -> None:
    """Distances begin at 0 where that wastes less than half of the page."""
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    axes.set_ylim(-0.02 * high if 0 <= low < 0.5 * high else low - margin, high + margin)
