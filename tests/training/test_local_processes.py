"""The local processes of a run start, follow and end as they should: no hang, no orphan, no replay of a multirun."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from anycost.configuration.schema import TrainerConfig
from anycost.errors import UserError
from anycost.training import distributed
from anycost.training.distributed import local_processes

Arguments = Callable[..., list[str]]
TWO = TrainerConfig(devices=2)


@pytest.fixture
def child_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """`child_runs(script)`: further processes run this shell script instead of the training; the run's config.yaml."""

    def install(script: str) -> Path:
        program = tmp_path / "child"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        return tmp_path / "config.yaml"

    return install


def test_child_gets_the_configuration_and_its_rank(child_runs: Callable[[str], Path]) -> None:
    config = child_runs('echo "$LOCAL_RANK of $WORLD_SIZE at $MASTER_ADDR: $*"')
    with local_processes(TrainerConfig(devices=3), config):
        assert os.environ["LOCAL_RANK"] == "0"
    assert "LOCAL_RANK" not in os.environ
    for rank in (1, 2):
        said = config.with_name(f"process_{rank}.log").read_text()
        assert said == f"{rank} of 3 at 127.0.0.1: -m anycost.commands.train --resolved {config}\n"


def test_error_of_a_child_is_the_error_of_the_run(child_runs: Callable[[str], Path]) -> None:
    """The collective that this process is in fails because its peer is gone: that is not the message."""
    config = child_runs("echo out of memory; exit 3")
    with pytest.raises(UserError, match=r"process 1 .* status 3; the end of .*process_1\.log:\nout of memory"):
        fail_with_children(config, RuntimeError("gloo: connection closed by peer"), after=lambda: time.sleep(0.3))


def fail_with_children(config: Path, error: Exception, after: Callable[[], object]) -> None:
    with local_processes(TWO, config):
        after()
        raise error


def test_child_that_fails_after_the_end_is_an_error(child_runs: Callable[[str], Path]) -> None:
    config = child_runs("sleep 0.2; kill -9 $$")
    with pytest.raises(UserError, match="process 1 of this run was killed by signal 9"), local_processes(TWO, config):
        pass


def test_own_error_ends_the_children(child_runs: Callable[[str], Path], tmp_path: Path) -> None:
    pid, config = tmp_path / "pid", child_runs(f"echo $$ > {tmp_path}/pid; exec sleep 60")
    with pytest.raises(ValueError, match="mine"):
        fail_with_children(config, ValueError("mine"), after=lambda: wait_for(lambda: pid.exists() and pid.read_text()))
    assert not psutil.pid_exists(int(pid.read_text()))


def test_hanging_process_ends_when_a_child_fails(
    child_runs: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """A collective that waits for ever cannot be interrupted from Python."""
    monkeypatch.setattr(distributed, "_GRACE_SEC", 0.1)
    config = child_runs("echo boom; exit 1")
    assert status_of(lambda: hang_with_children(config)) == 2
    assert "error: process 1 of this run ended with status 1" in capfd.readouterr().err


def hang_with_children(config: Path) -> None:
    with local_processes(TWO, config):
        while True:  # a pause ends with any signal that somebody handles
            signal.pause()


def test_child_ends_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("ANYCOST_PARENT", "1")  # not the parent of the process that is forked here
    assert status_of(lambda: hang_with_children(Path("config.yaml"))) == 1


def status_of(act: Callable[[], None]) -> int | None:
    """Exit status of `act` in a forked process; None where it hangs."""
    process = multiprocessing.get_context("fork").Process(target=act)
    process.start()
    process.join(20)
    process.kill()
    return process.exitcode


def wait_for(condition: Callable[[], object], seconds: float = 200.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def command(arguments: Arguments, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """`command(*overrides)`: start `anycost train` under two processes in the folder of the test."""
    started = []

    def start(*overrides: str) -> subprocess.Popen:
        line = arguments("stylegan2", "trainer.devices=2", *overrides)
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "anycost.commands.train", *line],
                cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def processes_in(folder: Path) -> list[psutil.Process]:
    """Running processes whose working folder is `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def rows(run: Path) -> int:
    table = run / "metrics.csv"
    return len(table.read_text().splitlines()) if table.exists() else 0


@pytest.mark.slow
def test_killed_processes_leave_neither_a_hang_nor_an_orphan(command: Callable, tmp_path: Path) -> None:
    run = tmp_path / "logs" / "train" / "runs" / "killed"
    first = command("run=killed", "stage.kimg=100")
    wait_for(lambda: rows(run) > 3)
    (child,) = psutil.Process(first.pid).children()
    child.kill()
    _, error = first.communicate(timeout=200)
    assert first.returncode == 2
    assert "error: process 1 of this run was killed by signal 9" in error
    assert "Traceback" not in error
    (run / "metrics.csv").unlink()
    second = command("run=killed", "stage.kimg=100")
    wait_for(lambda: rows(run) > 3)
    second.terminate()
    output, error = second.communicate(timeout=200)
    assert (second.returncode, error) == (143, "")
    assert "stopped by SIGTERM at " in output
    assert '"state": "stopped"' in (run / "run.json").read_text()
    logged = rows(run)
    third = command("run=killed", "stage.kimg=100")
    wait_for(lambda: rows(run) > logged)
    third.kill()
    wait_for(lambda: not processes_in(tmp_path))


@pytest.mark.slow
def test_multirun_does_not_replay_itself(command: Callable, tmp_path: Path) -> None:
    process = command("-m", "seed=0,1", "stage.kimg=0.024")
    output, error = process.communicate(timeout=240)
    assert process.returncode == 0, output + error
    (folder,) = (tmp_path / "logs" / "train" / "multiruns").iterdir()
    runs = [path for path in folder.iterdir() if path.is_dir()]
    assert [path.name for path in (tmp_path / "logs" / "train").iterdir()] == ["multiruns"]
    assert len(runs) == 2
    for run in runs:
        assert sorted(path.name for path in run.iterdir()) == [
            ".lock", "attempts.jsonl", "checkpoints", "config.yaml", "metrics.csv", "process_1.log", "run.json",
            "train.log", "weights.safetensors",
        ]
        assert '"attempts": 1' in (run / "run.json").read_text()
        assert not (run / "process_1.log").read_text()
    assert not processes_in(tmp_path)
    assert "multirun" not in {path.name for path in tmp_path.iterdir()}
