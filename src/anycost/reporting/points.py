"""What the plots of cost and quality show: one point per architecture, and which of them no other beats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Cost: TypeAlias = Literal["macs_paper", "macs", "latency_ms"]


@dataclass(frozen=True)
class CostPoint:
    """One architecture: its value (a distance: lower is better), what it costs, and its name.

    Args:
        value: what was measured.
        macs_paper: multiply-adds for one image in the paper's convention.
        macs: true multiply-adds.
        latency_ms: milliseconds for one image, where they are known.
        label: short name (`0.5@32`, `full`, or a budget).
        resolution: output resolution in pixels; 0 where it does not matter.
        error: standard deviation of the value over seeds, 0 for a single one.
    """

    value: float
    macs_paper: float
    macs: float
    latency_ms: float | None = None
    label: str = ""
    resolution: int = 0
    error: float = 0.0

    def cost(self, x: Cost) -> float | None:
        """The cost of this kind; None where it was not measured."""
        return {"macs_paper": self.macs_paper, "macs": self.macs, "latency_ms": self.latency_ms}[x]


def with_cost(points: Sequence[CostPoint], x: Cost) -> list[tuple[float, CostPoint]]:
    """(cost, point) of all that have this cost, cheapest first, the better of equals first."""
    known = [(cost, point) for point in points if (cost := point.cost(x)) is not None]
    return sorted(known, key=lambda pair: (pair[0], pair[1].value))


def front(points: Sequence[CostPoint], x: Cost) -> list[CostPoint]:
    """The points that no other beats: each is better than every point that costs as much or less; cheapest first."""
    best: list[CostPoint] = []
    for _, point in with_cost(points, x):
        if not best or point.value < best[-1].value:
            best.append(point)
    return best
