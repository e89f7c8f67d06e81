"""Sample grids side by side: the same latents in rows, architectures in columns, names set in readable type."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anycost.errors import UserError
from anycost.grids import COLUMNS, LABEL_HEIGHT, has_label_strip
from anycost.reporting.style import DOUBLE, DPI, INK, SINGLE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP, _TITLE, _NAMES, _POINT = 0.12, 0.18, 0.15, 1 / 72
"""Inches: between grids, above them for the titles and for the names of columns, of one point of type."""


@dataclass(frozen=True)
class Grid:
    """A picture of tiles, and the names of its columns where the file says them: then without the strip of names."""

    image: Any
    names: tuple[str, ...] = ()

    @property
    def has_strip(self) -> bool:
        """Whether names are part of the picture: files of earlier versions."""
        return not self.names and has_label_strip(self.image.size)

    @property
    def ratio(self) -> float:
        return float(self.image.width / self.image.height)


def read_grid(path: Path) -> Grid:
    """The grid of a PNG file; raises `UserError` where it is not a whole picture."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            names, image = file.info.get(COLUMNS), file.convert("RGB")
    except OSError as error:
        raise UserError(f"{path} is not a whole picture ({error}); remove it") from error
    if not names:
        return Grid(image)
    return Grid(image.crop((0, LABEL_HEIGHT, image.width, image.height)), tuple(json.loads(names)))


def comparable_grids(grids: Mapping[str, Path]) -> dict[str, Path]:
    """Those whose rows are the same latents at several architectures, where there are any; else all.

    A page of samples of one architecture (square tiles all over, no strip of names) shows other latents in every
    column, and its rows are not those of its neighbours.
    """
    read = {name: read_grid(path) for name, path in grids.items()}
    return {name: grids[name] for name, grid in read.items() if grid.names or grid.has_strip} or dict(grids)


@styled
def draw_pictures(pictures: Mapping[str, Path]) -> "Figure":
    """`{title: PNG file}` side by side in one height, each under its title and the names of its columns."""
    grids = {title: read_grid(path) for title, path in pictures.items()}
    gaps = _GAP * (len(grids) - 1)
    width = SINGLE if len(grids) == 1 else DOUBLE
    height = (width - gaps) / sum(grid.ratio for grid in grids.values())
    above = _TITLE + (_NAMES if any(grid.names for grid in grids.values()) else 0.0)
    figure = new_figure(width, height + above)
    figure.set_layout_engine("none")
    left = 0.0
    for title, grid in grids.items():
        own = height * grid.ratio
        axes = figure.add_axes((left / width, 0, own / width, height / (height + above)))
        smooth = grid.image.height > height * DPI or grid.has_strip  # letters want it, enlarged pixels do not
        axes.imshow(grid.image, interpolation="lanczos" if smooth else "nearest")
        axes.set_axis_off()
        axes.set_title(title, pad=3 + (_NAMES / _POINT if grid.names else 0), fontsize=7.5)
        _write_names(figure, grid, left, own, height)
        left += own + _GAP
    return figure


def _write_names(figure: Any, grid: Grid, left: float, width: float, bottom: float) -> None:
    """Each name centred over its column, all of a grid in one size: 7 points, less where the longest needs it."""
    column = width / max(len(grid.names), 1)
    size = figure.get_size_inches()
    look: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 7, "color": INK}
    texts = [
        figure.text((left + (position + 0.5) * column) / size[0], (bottom + 0.03) / size[1], name, **look)
        for position, name in enumerate(grid.names)
    ]
    widest = max((text.get_window_extent().width / figure.dpi for text in texts), default=0.0)
    for text in texts:
        text.set_fontsize(7 * min(1.0, 0.95 * column / widest))
