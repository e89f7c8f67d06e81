"""The table of a multirun: every value in its row and column, nothing missing without a word."""

import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from anycost.architecture import ArchitectureSpace
from anycost.metrics.records import Measurement
from anycost.metrics.table import protocols
from anycost.pricing.price_list import PriceList
from anycost.reporting.ablation import ablation_table, row_points, rows_section, write_table_csv
from anycost.reporting.gather import gather
from anycost.reporting.groups import quantities
from anycost.reporting.report import write_report
from anycost.reporting.rows import Column, column_of, table_rows

Make = Callable[..., Path]
WIDTHS = {"full": 0.125, "0.5": 0.0625}
(PROTOCOL,) = protocols(["fd1k_embedded"])


@pytest.fixture
def sweep(tmp_path: Path, make_run: Make) -> Make:
    """`sweep("conditioned-0", {"full": 3.0, "0.5@16": 2.0}, row=..., column=..., seed=...)`: a run of one multirun."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    rows = "t/base,t/vanilla_100,t/vanilla_050,t/same_d,\n  t/conditioned"
    overrides = ["experiments=t", "seed=0,1", "trainer.threads=1", "run=sweep"]
    write_multirun(folder, {"+experiments@_global_": rows}, overrides)

    def make(
        name: str, values: Mapping[str, float], row: str = "", column: str = "", seed: int = 0, init: str = "none",
        config: Mapping[str, Any] | None = None, lines: list[Measurement] | None = None,
    ) -> Path:  # fmt: skip
        own = ArchitectureSpace(32, WIDTHS.get(column, 0.125), 64, 3)
        measured = [Measurement(PROTOCOL, label, own.parse(label), "faces-1", 2000, value)
                    for label, value in values.items()]  # fmt: skip
        run = make_run(f"sweep/{name}", lines or measured, seed=seed, init_from=init)
        content = yaml.safe_load((run / "config.yaml").read_text())
        content |= {"table": {"row": row or None, "column": column or None}, **(config or {})}
        if column in WIDTHS:
            content["model"]["multiplier"] = WIDTHS[column]
        (run / "config.yaml").write_text(yaml.safe_dump(content))
        return run

    return make


def write_multirun(folder: Path, params: Mapping[str, str], overrides: list[str]) -> None:
    """As Hydra's sweeper does."""
    hydra = {"sweeper": {"params": dict(params)}, "overrides": {"task": overrides, "hydra": []}, "job": {"id": "???"}}
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": hydra}))


def rows_and_tables(folder: Path) -> tuple[str, list[list[list[str]]], list[list[list[str]]]]:
    """The section of the rows, its table, and those of the only quantity: rows of cells, header first."""
    runs = gather([str(folder)])
    rows, (quantity, *_) = table_rows(runs), quantities(runs)
    section = rows_section(rows)
    return section, markdown_tables(section), markdown_tables(ablation_table(rows, quantity))


def markdown_tables(section: str) -> list[list[list[str]]]:
    blocks = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if "---" not in line]
            for block in blocks]  # fmt: skip


@pytest.fixture
def whole(sweep: Make, tmp_path: Path) -> Path:
    """Two seeds of base, of vanilla in two widths, and of two shared rows; base is where the shared ones start."""
    for seed in (0, 1):
        sweep(f"a{seed}", {"full": 9.0 + seed}, "base", seed=seed)
        for column, value in (("full", 4.0), ("0.5", 6.0)):
            sweep(f"b{column}{seed}", {"full": value + seed}, "vanilla", column, seed)
        for row, value in (("conditioned", 3.0), ("same_d", 5.0)):
            shared = {"full": value + 2 * seed, "0.5": value + 1, "full@16": value / 2, "0.5@16": 1.0}
            sweep(f"c{row}{seed}", shared, row, seed=seed, init="row:base")
    return tmp_path / "sweep"


def test_rows_against_architectures_with_mean_and_deviation(whole: Path) -> None:
    _, _, (table, starts) = rows_and_tables(whole)
    assert table[0] == ["row", "full@32", "0.5@32", "full@16", "0.5@16", "seeds"]
    assert [line[0] for line in table[1:]] == ["MACs", "MACs (paper)", "vanilla", "same_d", "conditioned"]
    assert table[3:] == [
        ["vanilla", "4.5 ± 0.71", "6.5 ± 0.71", "-", "-", "2"],
        ["same_d", "6 ± 1.4", "6 ± 0", "2.5 ± 0", "1 ± 0", "2"],
        ["conditioned", "**4 ± 1.4**", "**4 ± 0**", "**1.5 ± 0**", "1 ± 0", "2"],
    ]
    assert starts[0] == ["row", "full@32", "seeds"]
    assert starts[-1] == ["base", "9.5 ± 0.71", "2"]


def test_prices_are_those_of_the_architectures(whole: Path, space: ArchitectureSpace) -> None:
    table = rows_and_tables(whole)[2][0]
    prices = [PriceList(space).price(space.parse(text)) for text in ("full", "0.5", "full@16", "0.5@16")]
    assert table[1][1:-1] == [f"{one.macs / 1e6:.3g} M" for one in prices]


def test_the_csv_has_every_cell(whole: Path) -> None:
    runs = gather([str(whole)])
    write_table_csv(table_rows(runs), quantities(runs), whole / "table.csv")
    lines = list(csv.DictReader((whole / "table.csv").open()))
    assert len(lines) == 1 + 2 + 4 + 4
    (line,) = [one for one in lines if (one["row"], one["architecture"]) == ("vanilla", "0.5")]
    assert (line["resolution"], line["seeds"], line["seeds_expected"], float(line["mean"])) == ("32", "2", "2", 6.5)
    half = ArchitectureSpace(32, 0.0625, 64, 1)
    assert int(line["macs"]) == PriceList(half).price(half.full()).macs


def test_the_report_has_the_tables_a_figure_and_pictures_of_one_seed_a_row(whole: Path) -> None:
    written = write_report([str(whole)])
    headings = re.findall("^## (.*)", written.page.read_text(), re.MULTILINE)
    assert headings == ["Rows", "fd1k_embedded", "Samples", "Training", "Runs"]
    assert (written.page.parent / "table.csv").is_file()
    names = {path.stem for path in written.figures}
    losses = {f"{name}_losses" for name in ("base", "vanilla_full", "vanilla_0.5", "same_d", "conditioned")}
    assert "fd1k_embedded_vs_macs" in names
    assert {name for name in names if name.endswith("losses")} == losses


def test_points_of_the_figure_are_the_cells_of_one_row_a_line(whole: Path) -> None:
    runs = gather([str(whole)])
    (quantity,) = quantities(runs)
    points = row_points(table_rows(runs), quantity)
    assert list(points) == ["vanilla", "same_d", "conditioned"]
    assert [(one.value, round(one.error, 2)) for one in points["vanilla"]] == [(4.5, 0.71), (6.5, 0.71)]
    labels = {name: [(one.label, one.resolution) for one in own if one.label] for name, own in points.items()}
    assert labels == {"vanilla": [("0.5", 32)], "same_d": [("full", 32), ("full, 0.5", 16)], "conditioned": []}
    assert points["vanilla"][1].macs < points["vanilla"][0].macs


def test_what_is_not_finished_is_said(whole: Path) -> None:
    for name, images in (("csame_d1", 1000), ("cconditioned1", 500)):
        record = json.loads((whole / name / "run.json").read_text())
        (whole / name / "run.json").write_text(json.dumps(record | {"state": "running", "images": images}))
    start = {"attempt": 1, "time": "t", "host": "h", "nodes": "h", "pid": 1, "slurm_job": "", "images": 0}
    end = {"attempt": 1, "ended": "t", "state": "failed", "images": 500, "error": "the disk is full"}
    (whole / "cconditioned1" / "attempts.jsonl").write_text(json.dumps(start) + "\n" + json.dumps(end) + "\n")
    (whole / "b0.51" / "run.json").unlink()
    (whole / "b0.51" / "metrics.jsonl").unlink()
    section, (table,), (values, _) = rows_and_tables(whole)
    overview = {line[0]: line[1:] for line in table}
    assert overview["vanilla"] == ["2", "3", "1 not started", "2"]
    assert overview["same_d"] == ["2", "1", "1 running", "2"]
    assert overview["conditioned"] == ["2", "1", "1 failed", "2"]
    assert "- conditioned, seed 1: failed at 0.5 kimg: the disk is full (`cconditioned1`)" in section
    assert "- vanilla, 0.5, seed 1: not started (`b0.51`)" in section
    rows = {line[0]: line[1:] for line in values}
    assert rows["conditioned"][0] == "**3 (n=1)**"
    assert rows["conditioned"][-1] == "1 of 2 (1 failed)"
    assert rows["vanilla"][:2] == ["4.5 ± 0.71", "6 (n=1)"]


def test_rows_and_seeds_that_nobody_has_begun_are_said(sweep: Make, tmp_path: Path) -> None:
    sweep("a", {"full": 1.0}, "base")
    _, (overview,), _ = rows_and_tables(tmp_path / "sweep")
    assert [line[:4] for line in overview[1:]] == [
        ["base", "2", "1", "1 not started"],
        *([name, "2", "0", "2 not started"] for name in ("vanilla_100", "vanilla_050", "same_d", "conditioned")),
    ]


def test_widths_of_a_begun_row_that_nobody_has_begun_are_said(sweep: Make, tmp_path: Path) -> None:
    sweep("a", {"full": 1.0}, "vanilla", "full")
    _, (overview,), (table, *_) = rows_and_tables(tmp_path / "sweep")
    lines = {line[0]: line for line in overview}
    assert lines["vanilla"][:4] == ["vanilla", "2", "1", "3 not started"]
    assert table[-1][-1] == "0 of 2 (2 not started)"
    assert next(line for line in table if line[0] == "vanilla")[-1] == "1 of 2 (3 not started)"


def test_parts_of_a_row_stand_in_one_line(sweep: Make, tmp_path: Path) -> None:
    """`single/32` and `single/16` are two runs of the row `single`, which multires starts from but which is shown."""
    sweep("a", {"full": 1.0}, "single/32", "full@32")
    sweep("b", {"full": 2.0}, "single/16", "full@16")
    sweep("c", {"full": 3.0, "full@16": 4.0}, "multires", init="row:single/32")
    _, _, (table,) = rows_and_tables(tmp_path / "sweep")
    lines = {line[0]: line[1:] for line in table}
    assert lines["single"] == ["**1 (n=1)**", "**2 (n=1)**", "1 of 2 (2 not started)"]
    assert lines["multires"] == ["3 (n=1)", "4 (n=1)", "1 of 2 (1 not started)"]


def test_a_generator_of_one_width_fills_its_column_with_nothing_else(
    sweep: Make, measurement: Callable[..., Measurement]
) -> None:
    lines = [measurement("full", 2000, 1.0), measurement("0.5", 2000, 9.0), measurement("full@16", 2000, 9.0),
             measurement("full", 2000, 0.0, "consistency_embedded")]  # fmt: skip
    (run,) = gather([str(sweep("a", {}, "vanilla", "0.5", lines=lines))])
    assert [column_of(run, one) for one in lines] == [Column("0.5", 32), None, None, None]


def test_rows_of_a_sweep_without_a_table_are_named_by_what_it_varies(sweep: Make, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    write_multirun(folder, {}, ["stage=ada_ch", "data=faces", "seed=0,1", "model=small,half", "stage.r1.gamma=1"])
    for seed in (0, 1):
        for name in ("small", "half"):
            model = {"name": name, "resolution": 32, "multiplier": WIDTHS["full"], "channel_cap": 64, "latent_dim": 512,
                     "mapping_layers": 8}  # fmt: skip
            sweep(f"{name}{seed}", {"full": 1.0 + seed}, seed=seed, config={"model": model})
    rows = table_rows(gather([str(folder)]))
    assert [(row.name, row.seeds, len(row.finished)) for row in rows] == [("model=half", 2, 2), ("model=small", 2, 2)]


def test_what_is_swept_beside_a_table_splits_its_rows(sweep: Make, tmp_path: Path) -> None:
    write_multirun(tmp_path / "sweep", {"+experiments@_global_": "t/base,t/conditioned"},
                   ["experiments=t", "seed=0", "data.filter=box,bilinear"])  # fmt: skip
    for row in ("base", "conditioned"):
        for name in ("box", "bilinear"):
            sweep(f"{row}{name}", {"full": 1.0}, row, config={"data": {"name": "faces", "filter": name}})
    assert [row.name for row in table_rows(gather([str(tmp_path / "sweep")]))] == [
        "base, filter=bilinear", "base, filter=box", "conditioned, filter=bilinear", "conditioned, filter=box",
    ]  # fmt: skip


def test_where_runs_were_written_splits_no_row(sweep: Make, tmp_path: Path) -> None:
    write_multirun(tmp_path / "sweep", {"+experiments@_global_": "t/base,t/conditioned"},
                   ["experiments=t", "seed=0,1", "paths.logs=elsewhere"])  # fmt: skip
    for row in ("base", "conditioned"):
        for seed in (0, 1):
            sweep(f"{row}{seed}", {"full": 1.0}, row, seed=seed, config={"paths": {"logs": str(seed)}})
    assert [row.name for row in table_rows(gather([str(tmp_path / "sweep")]))] == ["base", "conditioned"]


def test_seeds_alone_are_no_table(sweep: Make, tmp_path: Path) -> None:
    write_multirun(tmp_path / "sweep", {}, ["seed=0,1"])
    for seed in (0, 1):
        sweep(str(seed), {"full": 1.0}, seed=seed)
    assert table_rows(gather([str(tmp_path / "sweep")])) == []


def test_a_seed_that_was_trained_for_less_is_no_sample(sweep: Make, tmp_path: Path) -> None:
    for seed in (0, 1):
        run = sweep(f"a{seed}", {"full": 1.0 + seed}, "conditioned", seed=seed)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"images": 1000}))
    row = next(row for row in table_rows(gather([str(tmp_path / "sweep")])) if row.name == "conditioned")
    assert [run.seed for run in row.finished] == [0]
