"""Direct labels that cover neither points nor one another."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POSITIONS = ((0, -1), (0, 1), (-1, -1), (1, 1), (1, -1), (-1, 1), (1, 0), (-1, 0))
"""Where a label may stand about its point, best first: below, above, then the corners and sides."""
_GAP = 3.5  # points between a marker's centre and its label's edge
_ALIGN = {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}


def place_labels(
    axes: "Axes",
    labelled: Sequence[tuple[float, float, str, str]],
    obstacles: Sequence[tuple[float, float]] = (),
    size: float = 6.2,
) -> None:
    """Write each (x, y, text, colour) beside its point, where it hits the fewest points, labels and borders.

    `obstacles` are further points in data coordinates. Call when the limits of the axes stand.
    """
    from matplotlib.patheffects import withStroke

    figure: Any = axes.figure
    figure.draw_without_rendering()  # the layout settles where things lie in pixels
    renderer = figure.canvas.get_renderer()
    points = axes.transData.transform([(x, y) for x, y, *_ in labelled] + list(obstacles))
    border, taken = axes.get_window_extent(renderer), []
    for x, y, text, colour in labelled:
        best = None
        for rank, (dx, dy) in enumerate(_POSITIONS):
            note = axes.annotate(
                text, (x, y), (dx * _GAP * (0.8 if dy else 1), dy * _GAP), textcoords="offset points",
                ha=_ALIGN[dx][0], va=_ALIGN[dy][1], fontsize=size, color=colour, annotation_clip=True,
            )  # fmt: skip
            note.set_in_layout(False)
            note.set_path_effects([withStroke(linewidth=1.6, foreground="white")])
            box = note.get_window_extent(renderer).padded(1)
            cost = (
                10 * sum(box.overlaps(other) for other in taken)
                + sum(box.contains(*point) for point in points)
                + 20 * (box.x0 < border.x0 or box.x1 > border.x1 or box.y0 < border.y0 or box.y1 > border.y1)
                + rank / 100
            )
            if best is None or cost < best[0]:
                if best:
                    best[1].remove()
                best = (cost, note, box)
            else:
                note.remove()
        if best:
            taken.append(best[2])


def along(corners: Sequence[tuple[float, float]], steps: bool = False, count: int = 12) -> list[tuple[float, float]]:
    """Points on the line through `corners` (a step line keeps each value up to the next), as obstacles for labels."""
    if steps:
        corners = [one for (x, y), (after, below) in pairwise(corners) for one in ((x, y), (after, y))] + [corners[-1]]
    return [
        (x + (after - x) * part / count, y + (below - y) * part / count)
        for (x, y), (after, below) in pairwise(corners)
        for part in range(count)
    ] + [corners[-1]]
