"""Figures: the front is the front, nothing covers a label, files are for print, and matplotlib's own state stays."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import matplotlib
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from anycost.grids import draw_grid, draw_plain_grid, save_png
from anycost.metrics.records import Measurement
from anycost.reporting.figures import draw_curves, draw_front, draw_quality
from anycost.reporting.gather import gather
from anycost.reporting.groups import group_runs, quantities
from anycost.reporting.pictures import comparable_grids, draw_pictures, read_grid
from anycost.reporting.plots import quantity_figures, short_names
from anycost.reporting.points import CostPoint, front
from anycost.reporting.style import write_figure

POINTS = [CostPoint(1 / n, 1e8 * n, 6e7 * n, n / 10, "", 32 if n % 2 else 16) for n in range(1, 9)]
UNIFORM = [
    CostPoint(1.3 / n, 1e8 * n, 6e7 * n, n / 10, f"{n / 8:g}" if r == 32 else f"{n / 8:g}@{r}", r)
    for r, n in ((32, 2), (32, 4), (32, 6), (32, 8), (16, 1), (16, 2), (16, 3), (8, 1))
]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_the_front_is_what_nothing_beats(pairs: list[tuple[int, int]]) -> None:
    points = [CostPoint(value, cost, cost) for cost, value in pairs]

    def beaten(one: CostPoint) -> bool:
        return any(
            other.macs <= one.macs and other.value <= one.value and (other.macs, other.value) != (one.macs, one.value)
            for other in points
        )

    expected = sorted({(one.macs, one.value) for one in points if not beaten(one)})
    assert [(one.macs, one.value) for one in front(points, "macs")] == expected


def test_points_without_a_latency_are_not_on_the_axis_of_latencies() -> None:
    known, unknown = CostPoint(1.0, 1, 1, 5.0), CostPoint(0.5, 1, 1)
    assert front([known, unknown], "latency_ms") == [known]
    axes = draw_front([known, unknown], [], "latency_ms").axes[0]
    assert {x for line in axes.lines for x in line.get_xdata()} == {5.0}


def test_the_step_line_goes_through_the_front() -> None:
    axes = draw_front(POINTS, UNIFORM, winners=[POINTS[3]], protocol="search64_embedded").axes[0]
    step = next(line for line in axes.lines if line.get_label() == "front")
    best = front([*POINTS, *UNIFORM], "macs_paper")
    assert list(step.get_xdata())[:-1] == pytest.approx([one.macs_paper / 1e6 for one in best])
    assert list(step.get_ydata())[:-1] == pytest.approx([one.value for one in best])
    assert axes.get_xscale() == "log"
    assert axes.get_ylabel() == "search64_embedded"
    assert "(M)" in axes.get_xlabel()


def texts(figure: Figure) -> list[matplotlib.text.Annotation]:
    return [note for note in annotations(figure) if note.get_text()]


def annotations(figure: Figure) -> list[matplotlib.text.Annotation]:
    return [child for child in figure.axes[0].get_children() if isinstance(child, matplotlib.text.Annotation)]


def series(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def at_zero(figure: Figure) -> list[float]:
    """The heights of the ticks that say 0."""
    figure.draw_without_rendering()
    axis = figure.axes[0].yaxis
    labels = [label.get_text() for label in axis.get_majorticklabels()]
    return [place for place, text in zip(axis.get_majorticklocs(), labels, strict=True) if text == "0"]


def test_more_than_a_decade_is_logarithmic_and_zero_lies_on_the_border_that_says_so() -> None:
    values = [0.5, 0.1, 0.01, 0.0]
    points = [CostPoint(value, 1e8 * n, 1e8 * n, None, "", 32) for n, value in enumerate(values, start=1)]
    for figure in (draw_front(points, points[-1:]), draw_quality({"one": points}, protocol="x")):
        axes = figure.axes[0]
        assert axes.get_yscale() == "log"
        (border,) = at_zero(figure)
        assert axes.get_ylim()[0] == border
        heights = {y for line in axes.lines if line.get_transform() == axes.transData for y in line.get_ydata()}
        assert heights == {0.5, 0.1, 0.01, border}
        assert border < 0.01
    assert draw_front(points[:2], []).axes[0].get_yscale() == "linear"
    without = draw_front(points[:3], [])
    assert without.axes[0].get_yscale() == "log"
    assert at_zero(without) == []
    assert draw_quality({"one": points}, protocol="x", log=False).axes[0].get_yscale() == "linear"
    negative = [*points, CostPoint(-0.01, 1e8, 1e8)]
    assert draw_quality({"one": negative}, protocol="x").axes[0].get_yscale() == "linear"


def test_nothing_stands_between_the_uniform_points() -> None:
    axes = draw_front(POINTS, UNIFORM).axes[0]
    lines = {line.get_label(): line.get_linestyle() for line in axes.lines}
    drawn = [container.lines[0] for container in axes.containers]
    assert drawn
    assert {line.get_linestyle() for line in drawn} == {"None"}
    assert lines["front"] == "-"


def test_the_legend_names_what_is_visible() -> None:
    assert "evaluated" not in series(draw_front(UNIFORM, UNIFORM))
    assert "evaluated" not in series(draw_front([UNIFORM[3], CostPoint(0.01, 9e8, 9e8)], UNIFORM)), "on the front"
    assert "evaluated" in series(draw_front([CostPoint(2.0, 9e8, 9e8)], UNIFORM))


def test_labels_off_their_points_have_leaders_and_nothing_covers_another() -> None:
    crowd = [CostPoint(1 + n / 1000, 1e8 + 1e5 * n, 1e8, label=f"point {n}", resolution=32) for n in range(60)]
    figure = draw_front([*POINTS, CostPoint(0.5, 1e8, 1e8)], crowd)
    figure.draw_without_rendering()
    notes, leaders = texts(figure), [note for note in annotations(figure) if not note.get_text()]
    assert 3 < len(notes) < len(crowd), "what fits nowhere is left out"
    for first, second in combinations([note.get_window_extent() for note in notes], 2):
        assert not first.overlaps(second)
    led = {leader.xy for leader in leaders}
    for note in notes:
        place = figure.axes[0].transData.transform(note.xy)
        box = note.get_window_extent()
        gap = max(box.x0 - place[0], place[0] - box.x1, box.y0 - place[1], place[1] - box.y1) * 72 / figure.dpi
        assert (gap > 5) == (note.xy in led), note.get_text()


def test_labels_are_inside_the_axes_and_hit_no_other_and_no_legend() -> None:
    for figure in (draw_front(POINTS, UNIFORM), draw_quality({"one": UNIFORM}, protocol="fd1k_embedded")):
        figure.draw_without_rendering()
        boxes = {note.get_text(): note.get_window_extent() for note in texts(figure)}
        assert {"1", "0.25", "0.75"} <= boxes.keys()
        for first, second in combinations(boxes.values(), 2):
            assert not first.overlaps(second)
        axes = figure.axes[0].bbox
        assert all(axes.x0 <= box.x0 and box.x1 <= axes.x1 and axes.y0 <= box.y0 <= axes.y1 for box in boxes.values())
        (legend,) = figure.legends
        assert legend.get_window_extent().y0 >= axes.y1
        assert legend.get_window_extent().width <= figure.bbox.width


def test_files_are_for_print(tmp_path: Path) -> None:
    png, pdf = write_figure(draw_front(POINTS, UNIFORM), tmp_path / "kimg_12.5_front")
    assert (png.name, pdf.name) == ("kimg_12.5_front.png", "kimg_12.5_front.pdf")
    picture = Image.open(png)
    assert picture.width == round(3.4 * 300)
    assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/Type3" not in content, "fonts are embedded as outlines that editors can change"


def test_equal_data_give_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_figure(draw_quality({"a": UNIFORM, "b": POINTS}, protocol="fd1k_embedded"), tmp_path / name)
    for suffix in (".png", ".pdf"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_matplotlib_is_left_as_it_was(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    write_figure(draw_curves({"full": [(1, 2, 0.1), (2, 1, 0.1)]}, protocol="fd1k_embedded"), tmp_path / "x")
    assert dict(matplotlib.rcParams) == before


def test_a_single_point_and_a_distance_of_zero_are_drawn() -> None:
    assert draw_front([CostPoint(0.0, 5e9, 3e9)], []).axes[0].get_xlabel().endswith("(G)")
    assert (
        draw_curves({"full": [(1, 0.0, 0.0), (2, 0.0, 0.0)]}, protocol="x", log=True).axes[0].get_yscale() == "linear"
    )


def test_deviations_are_bands_and_bars() -> None:
    curves = draw_curves({"a": [(1, 2.0, 0.5), (2, 1.0, 0.5)], "b": [(1, 2.0, 0.0), (2, 1.0, 0.0)]}, protocol="x")
    (band,) = curves.axes[0].collections
    assert band.get_paths()[0].get_extents().extents[[1, 3]] == pytest.approx([0.5, 2.5])
    points = [CostPoint(1.0, 1e9, 1e9, label="full", error=0.25), CostPoint(2.0, 5e8, 5e8, label="0.5")]
    bars = draw_quality({"a": points}, protocol="x").axes[0].collections
    assert bars[0].get_segments()[1][:, 1] == pytest.approx([0.75, 1.25])


def test_pictures_stand_side_by_side_in_one_height(tmp_path: Path) -> None:
    for name, size in (("a", (300, 200)), ("b", (100, 200))):
        Image.new("RGB", size, (0, 0, 0)).save(tmp_path / f"{name}.png")
    figure = draw_pictures({name: tmp_path / f"{name}.png" for name in ("a", "b")})
    first, second = (axes.bbox for axes in figure.axes)
    assert first.height == pytest.approx(second.height)
    assert first.width / first.height == pytest.approx(1.5, rel=0.01)
    assert first.x1 < second.x0
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]


def grid(path: Path, names: list[str]) -> Path:
    save_png(draw_grid({name: torch.zeros(2, 3, 32, 32, dtype=torch.uint8) for name in names}), path)
    return path


def test_names_of_columns_are_type_over_their_columns(tmp_path: Path) -> None:
    names = {"one": ["full", "0.5@16"], "two": ["full", "uniform 40Mmac", "0.25"]}
    figure = draw_pictures({name: grid(tmp_path / f"{name}.png", own) for name, own in names.items()})
    assert [text.get_text() for text in figure.texts] == [*names["one"], *names["two"]]
    assert all(text.get_fontsize() >= 6 for text in figure.texts)
    for axes, own in zip(figure.axes, names.values(), strict=True):
        (image,) = axes.images
        assert image.get_array().max() > 0, "gaps between the tiles"
        assert image.get_array()[:100, :100].max() == 0, "the strip of names is cut off"
        column = axes.bbox.width / len(own)
        written = figure.texts[: len(own)] if axes is figure.axes[0] else figure.texts[-len(own) :]
        for position, text in enumerate(written):
            box = text.get_window_extent()
            assert (box.x0 + box.x1) / 2 == pytest.approx(axes.bbox.x0 + (position + 0.5) * column, abs=1)
            assert box.width <= column
            assert box.y0 >= axes.bbox.y1


def test_pages_of_one_architecture_stand_aside_where_labelled_grids_are(tmp_path: Path) -> None:
    plain, old = tmp_path / "plain.png", tmp_path / "old.png"
    save_png(draw_plain_grid(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), rows=2), plain)
    labelled = grid(tmp_path / "new.png", ["full", "0.5"])
    picture = Image.open(labelled)
    picture.info.clear()
    picture.save(old)  # as earlier versions wrote it
    assert list(comparable_grids({"a": plain, "b": labelled, "c": old})) == ["b", "c"]
    assert list(comparable_grids({"a": plain})) == ["a"]
    assert read_grid(old).image.size == picture.size


def test_names_lose_what_all_have_in_common() -> None:
    def short(*names: str) -> list[str]:
        return list(short_names(dict.fromkeys(names)))

    assert short("logs/runs/quick/a", "logs/runs/quick/b") == ["a", "b"]
    assert short("runs/x/a", "runs/y/a") == ["x/a", "y/a"]
    assert short("runs/x", "runs/x/a") == ["x", "x/a"]
    assert short("logs/one") == ["logs/one"]
    assert short("path=a/b", "path=a/c") == ["path=a/b", "path=a/c"]


def test_a_run_that_shows_nothing_is_not_in_the_legend(
    make_run: Callable[..., Path], measurement: Callable[..., Measurement], tmp_path: Path
) -> None:
    values = {"pipe/stylegan2": {"full": 0.0}, "pipe/multires": {"full": 0.0, "full@16": 0.3, "full@8": 0.5},
              "pipe/ada_ch": {"full": 0.0, "0.5": 0.1, "0.25": 0.2}}  # fmt: skip
    for name, own in values.items():
        lines = [measurement(label, 2000, value, "consistency_embedded") for label, value in own.items()]
        make_run(name, lines, stage={"name": Path(name).name})
    runs = gather([str(tmp_path / "pipe")])
    (quantity,) = quantities(runs)
    ((_, figure),) = quantity_figures(quantity, group_runs(runs), "x")
    assert [text for text in series(figure) if "px" not in text and text.strip()] == ["multires", "ada_ch"]
    figure.draw_without_rendering()
    assert {"0.5", "0.25", "full"} <= {note.get_text() for note in texts(figure)}
