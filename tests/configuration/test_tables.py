"""Tables are sweeps: a file that lists its rows, started with -m."""

from collections.abc import Callable
from pathlib import Path

import pytest

from anycost.errors import UserError

Runs = Callable[..., list]
ROWS = {
    "wide": "defaults: [override /stage: ada_ch]\nmetrics: {names: [kernel]}",
    "measured": "defaults: [override /stage: ada_ch]\nmetrics: {names: [frechet]}",
}


@pytest.fixture
def table(tmp_path: Path) -> list[str]:
    folder = tmp_path / "mine" / "experiments"
    (folder / "widths").mkdir(parents=True)
    (folder / "widths.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {+experiments@_global_: 'widths/wide,widths/measured'}}}\n"
    )
    for name, text in ROWS.items():
        (folder / "widths" / f"{name}.yaml").write_text(f"# @package _global_\n{text}\n")
    return ["--config-dir", str(tmp_path / "mine"), "experiments=widths"]


def test_one_run_per_row(run_all: Runs, table: list[str]) -> None:
    runs = run_all("-m", *table)
    assert [config.metrics.names for config, _ in runs] == [["kernel"], ["frechet"]]
    assert len({folder for _, folder in runs}) == 2, "rows that differ in metrics only have folders of their own"
    assert {config.stage.name for config, _ in runs} == {"ada_ch"}
    assert {folder.parent.name.rpartition("-")[0] for _, folder in runs} == {"widths"}


def test_rows_take_the_command_line(run_all: Runs, table: list[str]) -> None:
    first, second = run_all("-m", *table, "seed=3"), run_all("-m", *table, "trainer.devices=2", "seed=3")
    assert {config.seed for config, _ in first} == {3}
    assert [folder for _, folder in first] == [folder for _, folder in second]


def test_debug_beats_the_row(run_all: Runs, table: list[str], tmp_path: Path) -> None:
    """A dry run of a table takes two steps of each row, whatever lengths the rows ask for."""
    row = tmp_path / "mine" / "experiments" / "widths" / "wide.yaml"
    row.write_text("# @package _global_\ndefaults: [override /stage: ada_ch]\n"
                   "schedule: {ada_ch: 500}\ndata: {batch_size: 64}\nmetrics: {names: [kernel]}\n")
    alone = run_all(*table[:2], "experiments=widths/wide", "debug=fdr")
    for config, _ in [*run_all("-m", *table, "debug=fdr"), *alone]:
        assert (config.stage.kimg, config.data.batch_size, config.metrics.names) == (0.008, 4, [])
    swept = [config.stage.kimg for config, _ in run_all("-m", *table, "debug=fdr,limit")]
    assert sorted(swept) == [0.008, 0.008, 1, 1]


def test_one_row_alone(run_all: Runs, table: list[str]) -> None:
    ((config, folder),) = run_all(*table[:2], "experiments=widths/wide")
    assert (config.metrics.names, folder.parent.name) == (["kernel"], "runs")


def test_table_without_m_is_refused(run_all: Runs, table: list[str]) -> None:
    with pytest.raises(UserError, match=r"table of several runs .* start it with -m"):
        run_all(*table)


def test_table_inside_a_sweep_is_refused(run_all: Runs, table: list[str]) -> None:
    with pytest.raises(UserError, match="cannot be an element of a sweep"):
        run_all("-m", *table[:2], "experiments=widths,official/ada_ch")


def test_failing_row_does_not_stop_the_others(run_all: Runs, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.batch_size=18"):
        run_all("-m", "data.batch_size=18,16")
    folders = list((tmp_path / "logs/train/multiruns").glob("*/*/train.log"))
    assert len(folders) == 2
