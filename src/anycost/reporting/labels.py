"""Direct labels that cover neither points nor one another; a thin leader ties those that stand off their points."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import dist
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

Place: TypeAlias = tuple[float, float]
_SPACING = 3.0  # pixels at 100 dpi between the places of a line that labels avoid
_POSITIONS = ((0, -1), (0, 1), (-1, -1), (1, 1), (1, -1), (-1, 1), (1, 0), (-1, 0))
"""Where a label may stand about its point, best first: below, above, then the corners and sides."""
_GAPS = (3.5, 6.5, 10.0, 15.0, 22.0, 30.0)  # points between a marker's centre and its label's edge
_MARKER = 2.2  # points from the centre of a marker to its edge
_OVERLAP, _OUTSIDE, _COVERED, _FAR, _FOREIGN = 1000.0, 500.0, 20.0, 2.0, 3.0
"""What it costs to cover another label or a marker, to leave the axes, to lead across a marker, to stand one gap
further off, to stand nearer to another label's point than to its own; a hit place of a line costs 1."""


def place_labels(
    axes: "Axes",
    labelled: Sequence[tuple[float, float, str, str]],
    lines: Sequence[Sequence[Place]] = (),
    size: float = 6.2,
) -> None:
    """Write each (x, y, text, colour) beside its point, where it hits the fewest labels, borders, points and lines.

    A label that cannot stand next to its point gets a thin line to it; one that would cover another label or a marker
    wherever it stood is left out: tables have all values. `lines` are given by their corners in data coordinates.
    Call when the limits of the axes stand.
    """
    figure: Any = axes.figure
    figure.draw_without_rendering()  # the layout settles where things lie in pixels
    renderer = figure.canvas.get_renderer()
    drawn = [place for line in lines for place in _along(axes.transData.transform(line))]
    owners = [tuple(axes.transData.transform(label[:2])) for label in labelled]
    border, radius = axes.bbox, _MARKER * figure.dpi / 72
    taken: list[Any] = []

    def cost(at: Place, box: Any, leader: Sequence[Place], rank: int, far: int) -> float:
        outside = box.x0 < border.x0 or box.x1 > border.x1 or box.y0 < border.y0 or box.y1 > border.y1
        hit = sum(box.contains(*place) for place in drawn)
        crossed = any(other.contains(*place) for place in leader for other in taken)
        own, others = _distance(box, at), [other for other in owners if other != at]
        foreign = not far and any(_distance(box, other) < own for other in others)
        markers = sum(any(dist(place, other) < radius for place in leader) for other in others)
        overlaps = sum(map(box.overlaps, taken)) + crossed + any(_distance(box, other) < radius for other in others)
        position = _FAR * far + _FOREIGN * foreign + rank / 100
        return _OVERLAP * overlaps + _OUTSIDE * outside + _COVERED * markers + hit + position

    for label, at in zip(labelled, owners, strict=True):
        note = _write(axes, label, size)
        extent, pixels = note.get_window_extent(renderer), figure.dpi / 72
        tried = []
        for far, gap in enumerate(_GAPS):
            for rank, (dx, dy) in enumerate(_POSITIONS):
                across = dx * (gap * (0.8 if dy else 1) + extent.width / 2 / pixels)
                offset = across, dy * (gap + extent.height / 2 / pixels)
                box = _box(at, offset, extent, pixels)
                leader = [*_along([at, _nearest(box, at)])] if far else []
                tried.append((cost(at, box, leader, rank, far), offset, box, leader))
        least, offset, box, leader = min(tried, key=lambda one: one[0])
        if least >= _OUTSIDE:
            note.remove()
            continue
        note.set_position(offset)
        taken.append(box)
        if leader:
            drawn += leader
            _lead(axes, label, ((leader[1][0] - at[0]) / pixels, (leader[1][1] - at[1]) / pixels))


def _lead(axes: "Axes", label: tuple[float, float, str, str], offset: Place) -> None:
    """A thin line from the label's point to `offset` (points of type) from there: the nearest edge of its text."""
    look = {"arrowstyle": "-", "linewidth": 0.4, "color": label[3], "shrinkA": 0, "shrinkB": 1.8}
    line = axes.annotate("", label[:2], offset, textcoords="offset points", arrowprops=look)
    line.set_in_layout(False)


def _write(axes: "Axes", label: tuple[float, float, str, str], size: float) -> "Annotation":
    """The text centred on its point; its position is an offset from there in points of type."""
    from matplotlib.patheffects import withStroke

    x, y, text, colour = label
    note = axes.annotate(
        text,
        (x, y),
        (0, 0),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=size,
        color=colour,
        zorder=6,
    )
    note.set_in_layout(False)
    note.set_path_effects([withStroke(linewidth=1.6, foreground="white")])
    return note


def _box(at: Any, offset: tuple[float, float], extent: Any, pixels: float) -> Any:
    """The bounding box of a text of this extent whose centre stands `offset` (in points) from `at` (in pixels)."""
    from matplotlib.transforms import Bbox

    left = at[0] + offset[0] * pixels - extent.width / 2
    bottom = at[1] + offset[1] * pixels - extent.height / 2
    return Bbox.from_bounds(left, bottom, extent.width, extent.height).padded(0.5)


def _nearest(box: Any, at: Place) -> Place:
    """The place of the box that is nearest to `at`."""
    return min(max(at[0], box.x0), box.x1), min(max(at[1], box.y0), box.y1)


def _distance(box: Any, at: Place) -> float:
    return dist(_nearest(box, at), at)


def steps(corners: Sequence[Place]) -> list[Place]:
    """The corners of a step line that keeps each value up to the next."""
    return [one for (x, y), (after, _) in pairwise(corners) for one in ((x, y), (after, y))] + [*corners[-1:]]


def _along(corners: Any) -> Iterator[Place]:
    """Places on the line through `corners`, all in pixels, `_SPACING` apart."""
    yield from corners
    for (x, y), (after, below) in pairwise(corners):
        count = int(max(abs(after - x), abs(below - y)) / _SPACING)
        yield from ((x + (after - x) * part / count, y + (below - y) * part / count) for part in range(1, count))
