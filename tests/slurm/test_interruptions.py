"""Interruptions of single jobs on a real SLURM: a real time limit, in the middle of a measurement, under submitit."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anycost.attempts import read_attempts
from anycost.loggers.table import read_rows

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]
Lab = Any
Same = Callable[[Path, Path], None]
Reference = Callable[..., Path]


def _ends(run: Path) -> list[str]:
    return [attempt.state for attempt in read_attempts(run)]


def _ended(run: Path) -> bool:
    """Whether one of its attempts is over."""
    return any(_ends(run))


def _array(sweep: Path) -> str:
    return (sweep / "submissions.jsonl").read_text().split('"id": "')[1].split('"')[0]


def test_time_limit_and_measurements(lab: Lab, reference: Reference, same: Same) -> None:
    """A job of two minutes comes to its limit, frozen meanwhile; another is told to stop while it measures.

    The second finds no scontrol where it runs, as in a container: its batch script queues it again.
    """
    limited = lab.sweep("limited", "cluster.minutes=2", "cluster.grace_seconds=30")
    (slow,) = limited.glob("stylegan2-*")
    lab.wait_for_work(slow)
    frozen = read_attempts(slow)[-1].pid
    os.kill(frozen, signal.SIGSTOP)

    measures = ["metrics=default", "metrics.names=[frechet]", "metrics.samples=4000", "metrics.every_kimg=0.4"]
    image = ["cluster.container=[env,'PATH=/nowhere']", f"cluster.python={sys.executable}"]
    measuring = lab.sweep("measuring", *measures, *image)
    (run,) = measuring.glob("stylegan2-*")
    lab.wait(lambda: (run / "metrics.csv").is_file() and "\n400,"  in (run / "metrics.csv").read_text(), "400 images")
    lab.signal(f"{_array(measuring)}_0")
    lab.wait(lambda: _ended(run), "the job that measures is queued again")
    assert _ends(run)[0] == "requeued"

    lab.wait(lambda: _ended(slow) or lab.pending(frozen, signal.SIGUSR1), "the time is nearly up", 120)
    if not _ended(slow):
        os.kill(frozen, signal.SIGCONT)
    lab.wait(lambda: _ended(slow), "the job whose time is nearly up has saved")
    job = f"{_array(limited)}_0"
    lab.wait(lambda: lab.queue().get(job) == "PENDING", "it is in the queue again")
    lab.run("scontrol", "update", f"JobId={job}", "TimeLimit=60")  # the rest need not come to its limit too
    lab.settle()
    assert set(_ends(slow)[:-1]) == {"requeued"}, lab.describe()
    assert _ends(slow)[-1] == "finished", lab.describe()
    same(slow, reference(0))
    assert _ends(run) == ["requeued", "finished"]
    same(run, reference(0))
    measured = [row["images"] for row in read_rows(run / "metrics.csv") if any("metrics/" in name for name in row)]
    assert measured == [400, 800, 1200, 1280]


def test_submitit(lab: Lab, reference: Reference, same: Same) -> None:
    """`hydra/launcher=submitit_slurm`: its signal saves, it queues the job again, and the run goes on exactly."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    later = "+hydra.launcher.additional_parameters={begin: now+3}"  # submitit makes the folder of logs after sbatch
    command = [sys.executable, "-m", "anycost", "train", "-m", "hydra/launcher=submitit_slurm", later, "run=submitit"]
    launcher = subprocess.Popen([*command, *lab.tiny("seed=0")], cwd=lab.folder, env=lab.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with launcher:
        try:
            lab.wait(lab.queue, "the job is submitted")
            run = lab.wait(lambda: next(lab.multirun("submitit").glob("stylegan2-*"), None), "the run has a folder")
            lab.wait_for_work(run)
            (job,) = lab.queue()
            lab.signal(job, "USR2")
            lab.wait(lambda: _ended(run), "the run has saved")
            lab.settle()
        finally:
            launcher.kill()
    assert len(read_attempts(run)) == 2
    assert _ends(run)[-1] == "finished"
    same(run, reference(0))
