"""metrics.csv: append-only, growing columns, cut back at resume, repaired after a kill, equal after N+N."""

import csv
import errno
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anycost.errors import UserError
from anycost.loggers.metrics_csv import MetricsCsvLogger
from anycost.loggers.table import MetricsTable, read_rows


def raw(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def log(logger: MetricsCsvLogger, *steps: int) -> None:
    for step in steps:
        logger.log_metrics({"loss/d": step / 7}, step)
        if step % 200 == 0:
            logger.log_metrics({"metrics/frechet": 1 / step if step else 0.0}, step)


def test_one_row_per_image_count_with_images_and_kimg_first(tmp_path: Path) -> None:
    logger = MetricsCsvLogger(tmp_path)
    log(logger, 100, 200)
    logger.finalize("success")
    assert raw(tmp_path / "metrics.csv") == [
        ["images", "kimg", "loss/d", "metrics/frechet"],
        ["100", "0.1", repr(100 / 7), ""],
        ["200", "0.2", repr(200 / 7), "0.005"],
    ]


def test_values_survive_exactly(tmp_path: Path) -> None:
    rng = random.Random(0)
    values = {f"v{k}": rng.gauss(0, 10.0**k) for k in range(-20, 20)} | {"n": math.nan, "i": math.inf}
    logger = MetricsCsvLogger(tmp_path)
    logger.log_metrics(values, 32)
    logger.save()
    (row,) = read_rows(logger.path)
    assert {name: row[name] for name in values if name != "n"} == {k: v for k, v in values.items() if k != "n"}
    assert math.isnan(row["n"])


def test_rows_reach_the_disk_without_a_save(tmp_path: Path) -> None:
    logger = MetricsCsvLogger(tmp_path)
    log(logger, 100, 200, 300)
    assert [row["images"] for row in read_rows(logger.path)] == [100, 200, 300]


def test_an_existing_file_is_continued_and_names_may_hold_anything(tmp_path: Path) -> None:
    first = MetricsCsvLogger(tmp_path)
    first.log_metrics({'a "b", c': 1.0}, 100)
    first.save()
    second = MetricsCsvLogger(tmp_path)
    second.log_metrics({"new": 2.0}, 200)
    second.save()
    assert read_rows(second.path) == [
        {"images": 100, "kimg": 0.1, 'a "b", c': 1.0},
        {"images": 200, "kimg": 0.2, "new": 2.0},
    ]


def test_cut_back_and_continued_equals_uninterrupted(tmp_path: Path) -> None:
    whole = MetricsCsvLogger(tmp_path / "whole")
    log(whole, *range(100, 1100, 100))
    whole.finalize("success")

    killed = MetricsCsvLogger(tmp_path / "killed")
    log(killed, *range(100, 900, 100))
    resumed = MetricsCsvLogger(tmp_path / "killed")
    resumed.truncate(500)
    assert [row["images"] for row in read_rows(resumed.path)] == [100, 200, 300, 400, 500]
    log(resumed, *range(600, 1100, 100))
    resumed.finalize("success")
    assert resumed.path.read_text() == whole.path.read_text()


@pytest.mark.parametrize("cut", range(1, 27))
def test_a_kill_in_the_middle_of_a_line_is_repaired(tmp_path: Path, cut: int) -> None:
    table = MetricsTable(tmp_path / "metrics.csv")
    for images in (100, 200):
        table.put(images, {"loss": images / 7})
    text = table.path.read_text()
    table.path.write_text(text[:-cut])
    repaired = MetricsTable(table.path)
    assert read_rows(table.path) == [{"images": 100, "kimg": 0.1, "loss": 100 / 7}]
    repaired.put(200, {"loss": 200 / 7})
    assert table.path.read_text() == text


@pytest.mark.parametrize("content", ["", "images,ki", "images,kimg,loss\n"])
def test_a_file_without_rows_is_usable(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(content)
    MetricsTable(path).put(64, {"loss": 0.5})
    assert read_rows(path) == [{"images": 64, "kimg": 0.064, "loss": 0.5}]


@pytest.mark.parametrize("reopen", [False, True])
def test_values_of_one_image_count_share_a_row(tmp_path: Path, reopen: bool) -> None:
    logger = MetricsCsvLogger(tmp_path)
    for step in (100, 200):
        for values in ({"a": 1.0 / step}, {"new": 2.0}, {"a": 3.0}, {"b": 4.0}, {"b": 5.0 / step}):
            logger = MetricsCsvLogger(tmp_path) if reopen else logger
            logger.log_metrics(values, step)
            assert read_rows(logger.path)[-1].items() >= values.items()
    rows = [{"images": n, "kimg": n / 1000, "a": 3.0, "new": 2.0, "b": 5.0 / n} for n in (100, 200)]
    assert read_rows(logger.path) == rows
    assert len(raw(logger.path)) == 3


def test_a_process_killed_while_writing_leaves_whole_rows(tmp_path: Path) -> None:
    code = (
        "import sys; from anycost.loggers.table import MetricsTable\n"
        "table = MetricsTable(sys.argv[1]); print('open', flush=True)\n"
        "for k in range(1, 10**9): table.put(k, {'v': float(k), f'column{k // 50}': 1.0})\n"
    )
    path = tmp_path / "metrics.csv"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    rows = [row["images"] for row in read_rows(path)]
    assert rows == list(range(1, len(rows) + 1))
    assert rows


def test_a_step_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images"):
        MetricsCsvLogger(tmp_path).log_metrics({"loss": 1.0})


def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = MetricsCsvLogger(tmp_path)
    log(logger, 100)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match=r"metrics.csv: the disk is full"):
        logger.log_metrics({"loss/d": 1.0}, 300)
