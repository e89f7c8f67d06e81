"""Data-parallel jobs on a real SLURM: two tasks of one machine, two machines, by srun and without it."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anycost.attempts import read_attempts

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]
Lab = Any
Same = Callable[[Path, Path], None]
Reference = Callable[..., Path]

SCRIPTS = Path(__file__).parents[2] / "slurm"


def _ends(run: Path) -> list[str]:
    return [attempt.state for attempt in read_attempts(run)]


def _job(sweep: Path) -> str:
    return (sweep / "submissions.jsonl").read_text().split('"id": "')[1].split('"')[0] + "_0"


def test_two_machines(lab: Lab, reference: Reference, same: Same) -> None:
    """Processes of two machines, told to stop and queued again, equal two local processes that nobody interrupts.

    So do two tasks of one machine, which make way for a job of higher priority with nothing but SIGTERM.
    """
    nodes = lab.sweep("nodes", "trainer.num_nodes=2")
    tasks = lab.sweep("tasks", "trainer.devices=2", "cluster.partition=low")
    (run,), (other,) = (list(sweep.glob("stylegan2-*")) for sweep in (nodes, tasks))
    lab.wait_for_work(run)
    lab.signal(_job(nodes))
    lab.wait_for_work(other)
    lab.run("scontrol", "requeue", _job(tasks))
    lab.settle()
    for one in (run, other):
        assert len(read_attempts(one)) >= 2
        assert _ends(one)[-1] == "finished"
        same(one, reference(0, processes=2))
    assert {attempt.nodes for attempt in read_attempts(run)} == {"n[1-2]"}


@pytest.fixture
def nameless(tmp_path: Path, pictures: Path, lab: Lab) -> Iterator[Lab]:
    """A cluster of its own whose machine has a name that nobody resolves."""
    elsewhere = ["unshare", "--uts", "sh", "-c", 'hostname nowhere-1 && exec "$@"', "sh"]
    if subprocess.run([*elsewhere, "true"], capture_output=True).returncode:
        pytest.skip("no SLURM test of a host name: setting one needs root")
    other = type(lab)(tmp_path, pictures, before=elsewhere)
    yield other
    other.close()


def test_host_name_that_does_not_resolve(nameless: Lab, reference: Reference, same: Same) -> None:
    sweep = nameless.sweep("nameless", "trainer.devices=2")
    nameless.settle()
    (run,) = sweep.glob("stylegan2-*")
    assert _ends(run) == ["finished"], nameless.describe()
    assert read_attempts(run)[0].host == "nowhere-1"
    same(run, reference(0, processes=2))


def test_by_hand(lab: Lab, reference: Reference, same: Same) -> None:
    """Batch scripts that people submit: ours, and their own without srun or with other task counts than the run has.

    One of theirs asks for no signal: a job of higher priority leaves it nothing but SIGTERM and some seconds.
    """
    train = f"python -m anycost train {' '.join(lab.tiny())}"
    plain = lab.batch("plain", f"srun {train} run=plain", options=["--partition=low", "--nodelist=n2", "--requeue"])
    lab.batch("alone", f"{train} trainer.devices=2 run=alone", options=["--nodelist=n1"])
    lab.batch("three", f"srun {train} trainer.devices=2 run=three", options=["--nodelist=n1", "--ntasks=3"])
    lab.batch("apart", f"srun {train} run=apart", options=["--nodelist=n1", "--ntasks=2"])
    lab.anycost("train", "-m", "hydra/launcher=slurm", "cluster.prepare_only=true", "run=array", *lab.tiny())
    runs = lab.folder / "logs" / "train" / "runs"
    lab.wait_for_work(runs / "plain")
    preempted = read_attempts(runs / "plain")[-1].pid
    os.kill(preempted, signal.SIGSTOP)  # so that it is not finished before it must make way
    lab.batch("urgent", "sleep 1", options=["--nodelist=n2", "--exclusive"])
    told = lambda: any(_ends(runs / "plain")) or lab.pending(preempted, signal.SIGTERM)  # noqa: E731
    lab.wait(told, "the preempted job is told to end, which may also wake it", 30)
    if not any(_ends(runs / "plain")):
        os.kill(preempted, signal.SIGCONT)
    lab.wait(lambda: any(_ends(runs / "plain")), "the preempted job has saved")
    lab.run("sbatch", "--array=0", SCRIPTS / "array.sbatch", lab.multirun("array"))
    lab.batch("nodes", f"{train} trainer.num_nodes=2 run=nodes", options=["--nodes=2"])
    nodes = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1"]
    lab.run("sbatch", *nodes, SCRIPTS / "ddp.sbatch", *lab.tiny("run=ddp"))
    lab.settle()
    assert lab.job(plain)["Restarts"] != "0"
    assert _ends(runs / "plain")[-1] == "finished"
    (array,) = lab.multirun("array").glob("stylegan2-*")
    for single in (runs / "plain", array):
        same(single, reference(0))
    for pair in (runs / "alone", runs / "ddp"):
        same(pair, reference(0, processes=2))
    for name, told in (("three", "trainer.devices=2"), ("apart", "trainer.devices=1"), ("nodes", "srun")):
        assert "error: " in lab.output(name), lab.output(name)
        assert told in lab.output(name), lab.output(name)
        assert not (runs / name / "weights.safetensors").exists()
