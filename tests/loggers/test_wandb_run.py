"""The page of a run in Weights & Biases, read back from the offline file: pictures, curves, tables, front, summary."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anycost.loggers.table import read_rows
from anycost.metrics.records import read_measurements

ARGUMENTS = [
    "stage=ada_ch", "init_from=none", "data=faces", "data.resolution=16", "data.size=64", "data.batch_size=8",
    "model.multiplier=0.01", "model.channel_cap=16", "model.latent_dim=16", "model.mapping_layers=1", "trainer=cpu",
    "trainer.threads=1", "trainer.precision=32", "schedule=paper", "features=embedded", "stage.kimg=0.032",
    "stage.consistency.perceptual=none", "metrics.names=[frechet,consistency]", "metrics.samples=16",
    "metrics.every_kimg=0.016", "callbacks.grid.every_kimg=0.016", "callbacks.grid.rows=2",
    "callbacks.search.latents=2", "logger.wandb=true", "run=page",
]  # fmt: skip
DISTANCE = "embedded distance to the full generator"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short stage 3 with everything that a quickstart has, in a process of its own."""
    folder = tmp_path_factory.mktemp("page")
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "ANYCOST_CACHE": str(folder)}
    command = [sys.executable, "-m", "anycost", "train", *ARGUMENTS]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=240)
    return folder / "logs" / "train" / "runs" / "page"


@pytest.fixture(scope="module")
def records(run: Path) -> list[dict[str, Any]]:
    """What `wandb leet inspect` reads from the run's file."""
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", file, "--json"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


@pytest.fixture(scope="module")
def rows(records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The history by images seen."""
    items = [record["history"]["item"] for record in records if record["type"] == "history"]
    return {item["images"]: item for item in items}


def table(run: Path, rows: dict[int, dict[str, Any]], key: str, images: int) -> list[dict[str, Any]]:
    """The table that was logged under `key` at `images`, row by row."""
    (folder,) = run.glob("wandb/offline-run-*/files")
    content = json.loads((folder / rows[images][f"{key}.path"]).read_text())
    return [dict(zip(content["columns"], line, strict=True)) for line in content["data"]]


def charts(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The custom charts of the page: `{key: definition}`."""
    found = {}
    for record in records:
        for name, value in (record.get("config", {}).get("update") or {}).items():
            if name.startswith("_wandb.visualize."):
                found[name.removeprefix("_wandb.visualize.")] = value["panel_config"]
    return found


def test_every_measurement_is_a_curve_of_its_own(run: Path, rows: dict[int, dict[str, Any]]) -> None:
    logged = read_rows(run / "metrics.csv")
    keys = {one.key for one in read_measurements(run / "metrics.jsonl")}
    assert {"metrics/frechet16_embedded_full", "metrics/consistency16_embedded_0.5@8"} <= keys
    for row in logged:
        assert {name: rows[int(row["images"])][name] for name in row} == pytest.approx(row)
    for images in (16, 32):
        assert keys <= rows[images].keys()


def test_grids_and_reals_are_pictures(run: Path, rows: dict[int, dict[str, Any]]) -> None:
    (folder,) = run.glob("wandb/offline-run-*/files")
    for images, key in ((0, "reals"), (16, "samples"), (32, "samples"), (32, "search/front_picture")):
        assert rows[images][f"{key}._type"] == "images/separated"
        assert (folder / rows[images][f"{key}.filenames"][0]).is_file()
    original = (run / "grids" / "kimg_000000.032.png").stat().st_size
    assert original > 1000


def test_the_records_are_a_table_that_grows(run: Path, rows: dict[int, dict[str, Any]]) -> None:
    measurements = read_measurements(run / "metrics.jsonl")
    for images in (16, 32):
        logged = table(run, rows, "records", images)
        expected = [one for one in measurements if one.images <= images]
        assert [(row["kimg"], row["metric"], row["architecture"]) for row in logged] == [
            (one.images / 1000, one.metric, one.label) for one in expected
        ]
        assert [row["value"] for row in logged] == pytest.approx([one.value for one in expected])


def test_prices_are_a_table(run: Path, rows: dict[int, dict[str, Any]]) -> None:
    prices = {row["architecture"]: row for row in table(run, rows, "prices", 0)}
    assert list(prices) == ["full", "0.75", "0.5", "0.25", "0.5@8"]
    costs = [prices[label]["MACs"] for label in ("full", "0.75", "0.5", "0.25")]
    assert costs == sorted(costs, reverse=True)
    assert prices["0.5@8"]["resolution"] == 8
    assert all(row["MACs (paper)"] > row["MACs"] > 0 for row in prices.values())


def test_each_metric_is_one_chart_of_all_architectures(
    run: Path, records: list[dict[str, Any]], rows: dict[int, dict[str, Any]]
) -> None:
    drawn = charts(records)
    for metric in ("frechet16_embedded", "consistency16_embedded"):
        chart = drawn[f"curves/{metric}"]
        assert chart["panelDefId"] == "wandb/line/v0"
        assert chart["fieldSettings"] == {"x": "kimg", "y": metric, "stroke": "architecture"}
        points = table(run, rows, f"curves/{metric}_table", 32)
        assert {row["architecture"] for row in points} == {"full", "0.75", "0.5", "0.25", "0.5@8"}
        assert {row["kimg"] for row in points} == {0.016, 0.032}


def test_the_front_is_a_chart_and_a_table(
    run: Path, records: list[dict[str, Any]], rows: dict[int, dict[str, Any]]
) -> None:
    chart = charts(records)["search/front"]
    assert chart["fieldSettings"] == {"x": "macs_paper_millions", "y": DISTANCE, "stroke": "series"}
    front = table(run, rows, "search/front_table", 32)
    assert {row["series"] for row in front} == {"front", "uniform 16 px", "uniform 8 px"}
    kept = json.loads((run / "search" / "front_kimg_000000.032.json").read_text())
    distances = {one["label"]: one["distance"] for one in kept["evaluated"]}
    assert {row["architecture"]: row[DISTANCE] for row in front} == distances
    winners = {f"search/distance_{key.removesuffix('mac_paper')}": one for key, one in kept["budgets"].items()}
    assert winners
    for key, one in winners.items():
        assert rows[32][key] == pytest.approx(one["distance"])


def test_the_summary_has_best_and_last(run: Path, records: list[dict[str, Any]]) -> None:
    summary: dict[str, Any] = {}
    for record in records:
        if record["type"] == "summary":
            summary |= record["summary"].get("update") or {}
    measurements = read_measurements(run / "metrics.jsonl")
    first = [one for one in measurements if one.key == "metrics/frechet16_embedded_full"]
    best = min(first, key=lambda one: one.value).images
    for name, images in (("best", best), ("last", 32)):
        values = {one.key.removeprefix("metrics/"): one.value for one in measurements if one.images == images}
        assert summary[name] == pytest.approx({"kimg": images / 1000, **values})
