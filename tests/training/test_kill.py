"""kill -9 at random instants of real processes: the same command ends where an uninterrupted run ends, to the bit."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from anycost.commands import main
from anycost.runs import RunDir

KILLS = 2


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "options"), [
    ("stylegan2", ["data.workers=2"]),
    ("flexible", ["trainer.precision=bf16-mixed"]),
])
def test_killed_run_equals_an_uninterrupted_one(
    arguments: Callable[..., list[str]], same_state: Callable[[RunDir, RunDir], None], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, stage: str, options: list[str],
) -> None:
    line = arguments(stage, "stage.kimg=1.2", "callbacks.checkpoint.every_kimg=0.04", *options)
    monkeypatch.chdir(tmp_path)
    assert main(["train", *line, "run=whole"]) == 0
    killed, whole = (RunDir(tmp_path / "logs" / "train" / "runs" / name) for name in ("killed", "whole"))
    seed = time.time_ns()
    print(f"instants drawn with seed {seed}")
    rng, instants = random.Random(seed), []
    for attempt in range(1, KILLS + 1):
        process = subprocess.Popen([sys.executable, "-m", "anycost.commands.train", *line, "run=killed"])
        while process.poll() is None and not started(killed, attempt):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 1.5))
        process.kill()
        process.wait()
        instants.append(images_logged(killed))
    print(f"images logged at the kills: {instants}")
    finished = subprocess.run([sys.executable, "-m", "anycost.commands.train", *line, "run=killed"], check=False)
    assert finished.returncode == 0
    same_state(killed, whole)
    assert killed.weights.read_bytes() == whole.weights.read_bytes()


def started(run: RunDir, attempt: int) -> bool:
    record = run.read_record()
    return record is not None and record.attempts == attempt


def images_logged(run: RunDir) -> int:
    table = run.path / "metrics.csv"
    lines = table.read_text().splitlines() if table.exists() else []
    return int(lines[-1].partition(",")[0]) if len(lines) > 1 else 0
