"""How all figures look: widths of a two-column paper, readable type, colours that colour-blind readers tell apart.

matplotlib is imported when a figure is drawn, and its global state (pyplot, rcParams, backends) is left alone.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from math import log10
from pathlib import Path
from textwrap import wrap
from typing import IO, TYPE_CHECKING, Any, ParamSpec, TypeVar

from anycost.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SINGLE, DOUBLE = 3.4, 7.0
"""Widths in inches: one column of a two-column paper, and both."""
DPI = 300
INK, PALE, GRID = "#222222", "#a9aeb8", "#e9e9e9"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#6b6b6b")
"""The palette of Okabe and Ito (2008), its yellow and black replaced: the first is too pale for lines."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Colour never stands alone: series differ by their markers too."""

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: figures are the same on every machine
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.5,
    "legend.columnspacing": 1.0,
    "legend.handletextpad": 0.5,
    "legend.borderaxespad": 0.2,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "pdf.fonttype": 42,  # text stays text
    "figure.constrained_layout.use": True,
    "savefig.dpi": DPI,
}

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a drawing function see the style of this page, and nobody else."""

    @wraps(draw)
    def inside(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return inside


def new_figure(width: float, height: float, rows: int = 0) -> "Figure":
    """An empty figure of this size in inches, and `rows` of a legend above; drawn by Agg whatever backend is set."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height + 0.14 * rows))
    FigureCanvasAgg(figure)
    return figure


def legend_above(figure: "Figure", axes: "Axes | None" = None, columns: int = 4) -> None:
    """One legend in a strip of its own above the axes: it covers no point, and has no more columns than fit."""
    handles, labels = (axes or figure.axes[0]).get_legend_handles_labels()
    for count in range(min(columns, len(handles)), 0, -1):
        legend = figure.legend(handles, labels, loc="outside upper center", ncols=count)
        if legend.get_window_extent().width <= figure.bbox.width or count == 1:
            return
        legend.remove()


def write_figure(figure: "Figure", stem: Path) -> list[Path]:
    """Write `stem`.png (300 dpi) and `stem`.pdf (vector), whole or not at all; equal data give equal bytes."""
    png, pdf = (stem.with_name(stem.name + suffix) for suffix in (".png", ".pdf"))  # with_suffix would cut `kimg_12.5`
    write_png(figure, png)
    with atomic_write(pdf) as file:
        _save(figure, file, "pdf")
    return [png, pdf]


def write_png(figure: "Figure", path: Path) -> None:
    """Write the picture alone."""
    with atomic_write(path) as file:
        _save(figure, file, "png")


@styled
def _save(figure: "Figure", file: IO[bytes], format: str) -> None:
    figure.savefig(file, format=format, metadata={"png": {"Software": None}, "pdf": {"CreationDate": None}}[format])


def style_of(position: int) -> dict[str, Any]:
    """Colour and marker of the series at `position`."""
    return {"color": COLOURS[position % len(COLOURS)], "marker": MARKERS[position % len(MARKERS)]}


def log_axis(axes: "Axes", which: str, values: Sequence[float]) -> None:
    """Make `which` ("x" or "y") logarithmic with plain tick labels: 1, 2, 5 of each decade where there are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = min(values), max(values)
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    few = log10(high / low) < 2.5
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    margin = (high / low) ** 0.09 if high > low else 1.5
    getattr(axes, f"set_{which}lim")(low / margin, high * margin)


def wrapped(text: str, width: int = 34) -> str:
    """An axis label broken into lines that fit the height of a small figure, all about equally long."""
    lines = wrap(text, width, break_long_words=False)
    for narrower in range(width - 1, 0, -1):
        balanced = wrap(text, narrower, break_long_words=False)
        if len(balanced) > len(lines):
            break
        lines = balanced
    return "\n".join(lines)
