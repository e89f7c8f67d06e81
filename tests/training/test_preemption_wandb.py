"""Weights & Biases, offline: attempts of a run that a signal stopped are one run, and none of them a failure."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ATTEMPT = """
import os, signal, sys
from anycost.commands import main
from anycost.stages.clock import Clock

advance, (_, stop_at, *line) = Clock.advance, sys.argv

def advance_and_stop(clock):
    advance(clock)
    if str(clock.images) == stop_at:
        os.kill(os.getpid(), signal.SIGTERM)

Clock.advance = advance_and_stop
sys.exit(main(["train", *line]))
"""
"""Trains; in the step that ends with so many images, SIGTERM comes."""


def records(file: Path) -> list[dict[str, Any]]:
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", file, "--json"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_attempts_are_one_run_and_no_failure(arguments: Callable[..., list[str]], tmp_path: Path) -> None:
    line = arguments("stylegan2", "stage.kimg=0.024", "logger.wandb=true", "run=run")
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    statuses = [
        subprocess.run([sys.executable, "-c", ATTEMPT, stop_at, *line], cwd=tmp_path, env=environment).returncode
        for stop_at in ("16", "never")
    ]
    assert statuses == [143, 0]
    files = sorted(
        tmp_path.glob("logs/train/runs/run/wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_ctime_ns
    )
    stopped, finished = map(records, files)
    for one in (stopped, finished):
        assert [record["run"]["run_id"] for record in one if record["type"] == "run"] == ["run"]
    kinds = [{record["type"] for record in one} for one in (stopped, finished)]
    assert ["preempting" in kind for kind in kinds] == [True, False]
    ends = [record["exit"].get("exit_code", 0) for one in (stopped, finished) for record in one
            if record["type"] == "exit"]  # fmt: skip
    assert ends == [1, 0], "W&B takes a preempted run that ends with 0 for finished"
