"""The axis of a measured value: linear from 0, or logarithmic with a place for the 0 of the full generator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anycost.reporting.points import CostPoint
from anycost.reporting.style import INK, log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DECADE = 10.0
_BELOW = 0.16
"""How much of the span of a logarithmic axis lies below its least positive value: labels and the break stand there."""


@dataclass(frozen=True)
class ValueAxis:
    """Logarithmic where the positive values span more than a decade and none is negative, else linear.

    A logarithm has no 0, and the distance of the full generator to itself is 0: such points are drawn on the lower
    border, whose tick says 0, and the axis is broken between it and the lowest positive value.

    Args:
        low, high: the least and the greatest value, error bars included; the least positive one where logarithmic.
        border: where a logarithmic axis ends below and zeros are drawn; 0 where the axis is linear.
        zeros: whether there are any.
    """

    low: float
    high: float
    border: float = 0.0
    zeros: bool = False

    @staticmethod
    def of(points: Sequence[CostPoint], log: bool = True) -> "ValueAxis":
        """The axis of these points (not empty)."""
        values = [value for one in points for value in (one.value - one.error, one.value + one.error)]
        low, high = min(values), max(values)
        positive = [value for value in values if value > 0]
        if not log or low < 0 or not positive or high <= _DECADE * min(positive):
            return ValueAxis(low, high)
        least = min(positive)
        return ValueAxis(least, high, least / (high / least) ** _BELOW, low == 0)

    def shown(self, points: Sequence[CostPoint]) -> list[CostPoint]:
        """The points at the heights where they are drawn."""
        return [replace(one, value=max(one.value, self.border)) if self.border else one for one in points]

    def finish(self, axes: "Axes", from_zero: bool = True) -> None:
        """Set scale, limits and ticks."""
        if not self.border:
            set_linear(axes, self.low, self.high, from_zero)
            return
        log_axis(axes, "y", [self.low, self.high])
        axes.set_ylim(bottom=self.border)
        if self.zeros:
            self._mark_zero(axes)

    def _mark_zero(self, axes: "Axes") -> None:
        """A tick that says 0 at the lower border, and a break above it."""
        from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

        _, top = axes.get_ylim()
        first = (self.low * self.border) ** 0.5  # nothing is drawn between the border and the least positive value
        ticks = [tick for tick in axes.yaxis.get_majorticklocs() if first * 1.05 < tick <= top]
        axes.yaxis.set_major_locator(FixedLocator([self.border, *ticks]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value <= self.border else f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.plot(
            [0, 0], [first / 1.03, first * 1.03], transform=axes.get_yaxis_transform(), clip_on=False, linestyle="none",
            marker=((-1, -0.6), (1, 0.6)), markersize=6, color=INK, markeredgewidth=0.6, zorder=6,
        )  # fmt: skip


def set_linear(axes: "Axes", low: float, high: float, from_zero: bool = True) -> None:
    """Values begin at 0 where that wastes less than half of the page."""
    margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    axes.set_ylim(-0.03 * high if from_zero and 0 <= low < 0.5 * high else low - margin, high + margin)
