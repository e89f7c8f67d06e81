"""Sweeps on a real SLURM: interrupted, crashed, cancelled, left alone by their launcher, out of disk."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from anycost.attempts import read_attempts
from anycost.runs import RunDir

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]
Lab = Any
Same = Callable[[Path, Path], None]
Reference = Callable[..., Path]


def _runs(lab: Lab, sweep: Path) -> list[Path]:
    """The run folders in the order of the jobs."""
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    return [sweep / job["folder"] for job in jobs]


def _ends(run: Path) -> list[str]:
    return [attempt.state for attempt in read_attempts(run)]


def _fill(ballast: Path) -> None:
    """Take all that is left of a disk."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1024)):
            pass


def _arrays(sweep: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (sweep / "submissions.jsonl").read_text().splitlines()]


def test_time_limit_and_preemption_change_nothing(lab: Lab, reference: Reference, same: Same) -> None:
    """A sweep of two, logged to W&B offline: one job gets the signal of a time limit, then both make way for another.

    Both end as if nothing had happened, in one W&B run each.
    """
    options = ["cluster.partition=low", "logger.wandb=true", "logger.wandb_mode=offline"]
    sweep = lab.sweep("interrupted", "seed=0,1", *options)
    first, second = _runs(lab, sweep)
    (array,) = _arrays(sweep)
    lab.wait_for_work(first)
    lab.signal(f"{array}_0")
    lab.wait(lambda: _ends(first) == ["requeued"], "the first job is queued again")
    if "RUNNING" in lab.queue().values():
        lab.wait_for_work(second)
        lab.batch("urgent", "sleep 1", options=["--partition=debug", "--nodes=2", "--exclusive"])
    lab.settle()
    for run, plain in ((first, reference(0)), (second, reference(1))):
        same(run, plain)
        assert set(_ends(run)[:-1]) == {"requeued"}
        assert _ends(run)[-1] == "finished"
        assert {path.stem.removeprefix("run-") for path in run.rglob("run-*.wandb")} == {run.name}
    jobs = lab.status(sweep)
    assert [job["state"] for job in jobs] == ["finished", "finished"]
    assert all(job["restarts"] >= 1 for job in jobs)
    assert len(_arrays(sweep)) == 1


def test_own_fault_is_told_and_resubmitted_alone(lab: Lab) -> None:
    """Of three rows one fails for its own fault: it is not queued again, nor does what depends on it begin."""
    rows = "+experiments@_global_=table2_embedded/base,table2_embedded/multires,table2_embedded/vanilla_025"
    tiny = ["schedule.stylegan2=0.2", "schedule.multires=0.2", "data.resolution=16", "data.size=16",
            "data.batch_size=8", "model.channel_cap=8", "model.latent_dim=16", "model.mapping_layers=1", "trainer=cpu",
            "trainer.threads=1"]
    lab.anycost("train", "-m", "hydra/launcher=slurm", "cluster.detach=true", "run=rows", rows, *tiny)
    sweep = lab.multirun("rows")
    base, multires, vanilla = _runs(lab, sweep)
    (base / "metrics.csv").mkdir()
    lab.settle()
    states = {job["row"]: job for job in lab.status(sweep)}
    assert states["base"]["state"] == "failed"
    assert "metrics.csv" in states["base"]["error"]
    assert _ends(base) == ["failed"]
    assert states["multires"]["state"] == "stopped"
    assert not read_attempts(multires)
    assert states["vanilla"]["state"] == "finished"
    (base / "metrics.csv").rmdir()
    lab.anycost("sweep", "resubmit", sweep)
    lab.settle()
    assert [job["state"] for job in lab.status(sweep)] == ["finished"] * 3
    assert (_ends(base), _ends(multires), _ends(vanilla)) == (["failed", "finished"], ["finished"], ["finished"])


def test_launcher_may_die_and_jobs_may_be_cancelled(lab: Lab, reference: Reference, same: Same) -> None:
    """Jobs outlive their launcher; the same command waits for them instead of starting more; `cancel` ends them."""
    command = [sys.executable, "-m", "anycost", "train", "-m", "hydra/launcher=slurm", "run=kept", *lab.tiny("seed=0")]

    def launcher() -> subprocess.Popen[str]:
        return subprocess.Popen(command, cwd=lab.folder, env=lab.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    sweep = lab.multirun("kept")
    with launcher() as first:
        lab.wait(lambda: "RUNNING" in lab.queue().values() and (sweep / "submissions.jsonl").exists(), "the job runs")
        first.kill()
    (run,) = _runs(lab, sweep)
    with launcher() as second:
        lab.wait_for_work(run)
        os.kill(read_attempts(run)[-1].pid, signal.SIGSTOP)  # so that it is not finished before the launcher looks
        said = lab.wait(second.stdout.readline, "the second launcher has looked at the queue")
        assert "1 in the queue, 0 to hand out" in said
        os.kill(read_attempts(run)[-1].pid, signal.SIGCONT)
        lab.anycost("sweep", "cancel", sweep)
        rest = second.stdout.read()
        assert second.wait() == 2
        assert "1 of 1 jobs did not finish" in rest
    assert len(_arrays(sweep)) == 1
    assert _ends(run) == ["stopped"]
    assert [job["state"] for job in lab.status(sweep)] == ["stopped"]
    lab.anycost("sweep", "resubmit", sweep)
    lab.settle()
    assert _ends(run) == ["stopped", "finished"]
    same(run, reference(0))


def test_full_disk(lab: Lab, small_disk: Path, reference: Reference, same: Same) -> None:
    """The run fails with the reason, keeps its checkpoint, is not queued again, and goes on when there is space."""
    lab.anycost("train", "-m", "hydra/launcher=slurm", "cluster.detach=true", "run=full", f"paths.logs={small_disk}",
                *lab.tiny("seed=0", "callbacks.checkpoint.every_kimg=0.08"))
    sweep = small_disk / "train" / "multiruns" / "full"
    (run,) = _runs(lab, sweep)
    lab.wait(lambda: (run / "checkpoints" / "last.ckpt").exists(), "there is a checkpoint")
    ballast = small_disk / "ballast"
    _fill(ballast)
    lab.settle()
    (job,) = lab.status(sweep)
    assert job["state"] == "failed"
    assert "the disk is full; free some space" in job["error"]
    record = RunDir(run).read_record()
    assert record
    assert 0 < record.images < 1280
    ballast.unlink()
    lab.anycost("sweep", "resubmit", sweep)
    lab.settle()
    same(run, reference(0))
    assert _ends(run) == ["failed", "finished"]


def test_two_sweeps_in_the_same_second(lab: Lab) -> None:
    """They have folders and arrays of their own; the same one twice is one; those that cannot run submit nothing."""
    hold = ["train", "-m", "hydra/launcher=slurm", "cluster.detach=true", "cluster.sbatch=[--hold]"]
    seeds = ["seed=0,1", "seed=2,3", "seed=2,3"]
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda text: lab.anycost(*hold, *lab.tiny(text), status=None), seeds))
    sweeps = sorted((lab.folder / "logs" / "train" / "multiruns").iterdir())
    assert len(sweeps) == 2, said
    arrays = [array for sweep in sweeps for array in _arrays(sweep)]
    assert len(arrays) == len(set(arrays)) == 2, said
    assert set(lab.queue()) == {f"{array}_{index}" for array in arrays for index in (0, 1)}
    assert "nowhere" in lab.anycost(*hold, *lab.tiny("seed=4,5", "cluster.partition=nowhere"), status=2)
    wrong = lab.anycost(*hold, *lab.tiny("seed=6,7", "trainer.devices=2", "data.batch_size=4"), status=2)
    assert "batch_size" in wrong
    assert len(lab.queue()) == 4
    for sweep in sweeps:
        lab.anycost("sweep", "cancel", sweep)
    assert not lab.queue()
