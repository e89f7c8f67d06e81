"""Weights & Biases, offline: attempts of a run that a signal stopped are one run, and none of them a failure."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anycost.runs import RunDir
from anycost.stages.clock import Clock

Train = Callable[..., RunDir]


def attempt(train: Train, stop_at: int | None) -> None:
    advance = Clock.advance

    def advance_and_stop(clock: Clock) -> None:
        advance(clock)
        if clock.images == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    Clock.advance = advance_and_stop
    train("run", "stylegan2", 24, "logger.wandb=true")


def records(file: Path) -> list[dict[str, Any]]:
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", file, "--json"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_attempts_are_one_run_and_no_failure(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    statuses = []
    for stop_at in (16, None):
        process = multiprocessing.get_context("fork").Process(target=attempt, args=(train, stop_at))
        process.start()
        process.join(timeout=240)
        statuses.append(process.exitcode)
    assert statuses == [143, 0]
    files = sorted((tmp_path / "run").glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_ctime_ns)
    stopped, finished = map(records, files)
    for one in (stopped, finished):
        assert [record["run"]["run_id"] for record in one if record["type"] == "run"] == ["run"]
    kinds = [{record["type"] for record in one} for one in (stopped, finished)]
    assert ["preempting" in kind for kind in kinds] == [True, False]
    ends = [record["exit"].get("exit_code", 0) for one in (stopped, finished) for record in one
            if record["type"] == "exit"]  # fmt: skip
    assert ends == [1, 0], "W&B takes a preempted run that ends with 0 for finished"
