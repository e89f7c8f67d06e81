"""A pool of local processes: bounded, in the order of what jobs start from, stopped in good order, missed if killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from anycost.configuration.composition import compose
from anycost.configuration.convert import save_config
from anycost.errors import UserError
from anycost.processes import PARENT
from anycost.sweeps.local import fair_threads, places, run_locally
from anycost.sweeps.record import Job, Sweep, read_submissions

TRAINED = """
run=$(python3 -c "import json,sys; print(json.load(open('$4/sweep.json'))['jobs'][$5]['folder'])")
printf '{"stage": "stylegan2", "data": "faces", "state": "finished", "images": 99999999}' > "$4/$run/run.json"
touch "$4/$run/weights.safetensors"
"""
"""The work of a job: what a run folder holds in the end. Arguments: -m anycost.commands.train --job SWEEP INDEX."""
SECOND_STARTED = "while [ $(grep -c starts log) -lt 2 ]; do sleep 0.05; done"
"""A first job does not end before there is a second one beside it."""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sweep]:
    """`sweep(script, after, *overrides)`: jobs that run a shell script in place of Python, and what they wait for."""

    def build(script: str, after: list[list[int]], *overrides: str) -> Sweep:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\necho $5 starts >> {tmp_path}/log\n{script}\necho $5 ends >> {tmp_path}/log\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        jobs = [Job(index, [f"seed={index}"], f"run{index}", index, None, waits) for index, waits in enumerate(after)]
        made = Sweep(tmp_path / "sweep", [], jobs, cwd=str(tmp_path))
        config = compose("stage=stylegan2", "trainer=cpu", "trainer.threads=1", *overrides)
        for job in jobs:
            save_config(config, made.run_dir(job) / "config.yaml")
        content = {"command": [], "created": "", "jobs": [vars(job) for job in jobs]}
        (made.folder / "sweep.json").write_text(json.dumps(content))
        return made

    return build


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


def test_no_more_at_a_time_than_asked_for(sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    made = sweep(f"{SECOND_STARTED}\n{TRAINED}", [[], [], [], []], "cluster.max_parallel=2")
    run_locally(made, made.jobs)
    running = most = 0
    for line in log(tmp_path):
        running += 1 if line.endswith("starts") else -1
        most = max(most, running)
    assert (running, most, len(log(tmp_path))) == (0, 2, 8)
    (submission,) = read_submissions(made.folder)
    assert (submission.executor, submission.id, submission.indices) == ("local", str(os.getpid()), [0, 1, 2, 3])


def test_jobs_come_after_what_they_start_from(sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    made = sweep(f"sleep 0.1\n{TRAINED}", [[2], [0], []], "cluster.max_parallel=3")
    run_locally(made, made.jobs)
    assert log(tmp_path) == ["2 starts", "2 ends", "0 starts", "0 ends", "1 starts", "1 ends"]


def test_what_starts_from_a_failed_job_is_not_run(sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    made = sweep(f"[ $5 = 0 ] && exit 1\n{TRAINED}", [[], [0], [1], []], "cluster.max_parallel=2")
    with pytest.raises(UserError) as failed:
        run_locally(made, made.jobs)
    lines = str(failed.value).splitlines()
    assert lines[0] == "3 of 4 jobs did not finish:"
    assert "job 1 (seed=1): not run, since it starts from job 0" in lines[2]
    assert "job 2 (seed=2): not run, since it starts from job 1" in lines[3]
    assert {line.split()[0] for line in log(tmp_path)} == {"0", "3"}


def test_jobs_save_when_the_pool_is_stopped(sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    """SIGTERM reaches each job once, and the pool waits for them; what had not begun does not begin."""
    made = sweep("trap 'sleep 0.3; echo $5 saved >> log; exit 143' TERM\necho $5 heeds >> log\n"
                 "while :; do sleep 0.05; done", [[], [], [], []], "cluster.max_parallel=2")  # fmt: skip
    (tmp_path / "log").touch()
    script = f"while [ $(grep -c heeds {tmp_path}/log) -lt 2 ]; do sleep 0.05; done; sleep 0.3; kill {os.getpid()}"
    with subprocess.Popen(["sh", "-c", script]), pytest.raises(SystemExit) as left:
        run_locally(made, made.jobs)
    assert left.value.code == 143
    assert sorted(log(tmp_path)) == ["0 heeds", "0 saved", "0 starts", "1 heeds", "1 saved", "1 starts"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_process_misses_its_killed_parent() -> None:
    """And gets SIGTERM, which it may answer by saving."""
    child = ("import signal,sys,time; from anycost.processes import stop_with_parent; stop_with_parent(); "
             "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('ready', flush=True); time.sleep(250)")
    parent = (f"import os,subprocess,sys,time; os.environ['{PARENT}'] = str(os.getpid()); "
              f"print(subprocess.Popen([sys.executable, '-c', {child!r}]).pid, flush=True); time.sleep(250)")
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline(), process.stdout.readline()]
        pid = int(next(line for line in lines if line.strip().isdigit()))
        process.kill()
    end = time.monotonic() + 100
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the child lives on"
        time.sleep(0.1)


def test_places_are_what_cores_and_gpus_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anycost.sweeps.local.cores", lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    cpu = compose("stage=stylegan2", "trainer=cpu", "trainer.devices=2")
    assert (places(cpu, 20), places(cpu, 3), fair_threads(cpu, 2)) == (4, 3, 2)
    gpu = compose("stage=stylegan2", "trainer=auto")
    assert (places(gpu, 20), fair_threads(gpu, 20)) == (3, 2)
    assert places(compose("stage=stylegan2", "trainer=cpu", "cluster.max_parallel=12"), 20) == 12


def test_jobs_on_gpus_share_none(sweep: Callable[..., Sweep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    made = sweep(f"echo gpu $CUDA_VISIBLE_DEVICES >> log\n{SECOND_STARTED}\n{TRAINED}", [[], []], "trainer=auto",
                 "cluster.max_parallel=2")  # fmt: skip
    run_locally(made, made.jobs)
    assert sorted(line for line in log(tmp_path) if line.startswith("gpu")) == ["gpu 3", "gpu 5"]


def test_a_job_of_several_processes_saves_when_its_pool_is_stopped_twice() -> None:
    """It gets a signal from the pool, and another when that has gone; meanwhile it is a parent itself."""
    code = (
        "import os, signal\nfrom anycost import signals\n"
        "with signals.remembered():\n"
        "    os.environ['ANYCOST_PARENT'] = str(os.getpid())\n"
        "    os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('saved', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "ANYCOST_PARENT": str(os.getpid())},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["saved"]), done.stderr
