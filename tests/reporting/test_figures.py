"""Figures: the front is the front, nothing covers a label, files are for print, and matplotlib's own state stays."""

from itertools import combinations
from pathlib import Path

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from anycost.reporting.figures import draw_curves, draw_front, draw_pictures, draw_quality
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
    (line, *_) = draw_front([known, unknown], [], "latency_ms").axes[0].lines
    assert list(line.get_xdata()) == [5.0]


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
    return [child for child in figure.axes[0].get_children() if isinstance(child, matplotlib.text.Annotation)]


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
