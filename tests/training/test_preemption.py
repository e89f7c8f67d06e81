"""Jobs of SLURM that signals stop: saved, queued again where that is right, continued to the bit. SLURM is faked."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from anycost.attempts import read_attempts
from anycost.callbacks import checkpoint
from anycost.errors import UserError
from anycost.runs import RunDir
from anycost.stages.clock import Clock

Train = Callable[..., RunDir]
Same = Callable[[RunDir, RunDir], None]
Slurm = Callable[..., Path]


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_two_signals_are_one_stop_and_saving_outlasts_them(
    train: Train, same_state: Same, slurm: Slurm, at_image: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """More come while the checkpoint is written."""
    calls, write = slurm(), checkpoint.write

    def write_under_fire(*given: object) -> None:
        send(signal.SIGTERM, signal.SIGINT)
        write(*given)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write", write_under_fire)
        at_image(16, lambda: send(signal.SIGUSR1, signal.SIGTERM))
        with pytest.raises(SystemExit) as left:
            train("run", "stylegan2", 24)
    assert left.value.code == 128 + signal.SIGUSR1
    assert calls.read_text().count("requeue 7") == 1
    monkeypatch.undo()
    run = train("run", "stylegan2", 24)
    same_state(run, train("whole", "stylegan2", 24))
    assert [one.state for one in read_attempts(run.path)] == ["requeued", "finished"]


def test_full_disk_at_the_stop_is_a_failure(
    train: Train, slurm: Slurm, at_image: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The checkpoint before is whole, and a job that would fail again is not queued again."""
    calls, write = slurm(), checkpoint.write

    def write_twice(path: Path, content: object) -> None:
        if path.name > "kimg_000000.008.ckpt":
            raise UserError(f"cannot write {path}: the disk is full")
        write(path, content)

    monkeypatch.setattr(checkpoint, "write", write_twice)
    at_image(16, lambda: send(signal.SIGTERM))
    with pytest.raises(UserError, match="the disk is full"):
        train("run", "stylegan2", 24, "callbacks.checkpoint.every_kimg=0.008")
    assert [path.name for path in sorted((tmp_path / "run/checkpoints").iterdir())] == [
        "kimg_000000.008.ckpt", "last.ckpt"
    ]  # fmt: skip
    assert not calls.read_text()
    (attempt,) = read_attempts(tmp_path / "run")
    assert (attempt.state, attempt.images_at_end) == ("failed", 8)
    assert attempt.error.endswith("the disk is full")


def test_own_fault_is_not_queued_again(train: Train, slurm: Slurm, at_image: Callable, tmp_path: Path) -> None:
    calls = slurm()
    at_image(16, lambda: {}["no such key"])
    with pytest.raises(KeyError):
        train("run", "stylegan2", 24)
    with pytest.raises(UserError, match="init_from"):
        train("other", "multires", 24, "init_from=nowhere")
    assert not calls.read_text()
    assert [(one.state, one.error) for one in read_attempts(tmp_path / "run")] == [
        ("failed", "KeyError: 'no such key'")
    ]  # fmt: skip
    (attempt,) = read_attempts(tmp_path / "other")
    assert attempt.state == "failed"
    assert "nowhere" in attempt.error


def test_signal_before_the_first_step_loses_nothing(
    train: Train, slurm: Slurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """While the networks are built, the stage begins."""
    calls, init = slurm(), Clock.__init__

    def build_and_send(self: Clock, *given: object, **named: object) -> None:
        init(self, *given, **named)
        send(signal.SIGUSR1)

    monkeypatch.setattr(Clock, "__init__", build_and_send)
    with pytest.raises(SystemExit):
        train("run", "stylegan2", 24)
    assert "requeue 7" in calls.read_text()
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))


def test_finished_job_ends_well_whatever_came_at_its_end(
    train: Train, slurm: Slurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = slurm()
    monkeypatch.setattr("anycost.training.start.report", lambda run: send(signal.SIGTERM))
    run = train("run", "stylegan2", 8)
    assert run.read_record().state == "finished"
    assert not calls.read_text()
    assert [one.state for one in read_attempts(run.path)] == ["finished"]


def test_pipeline_stops_between_its_stages(
    arguments: Callable[..., list[str]], slurm: Slurm, at_image: Callable, tmp_path: Path
) -> None:
    """The signal came in the last step of the first one, which is finished; the second one has not begun."""
    from anycost.configuration.composition import compose
    from anycost.training import run as run_training

    calls, lengths = slurm(), [f"stage.{stage}.kimg=0.016" for stage in ("stylegan2", "multires", "ada_ch")]
    at_image(16, lambda: send(signal.SIGUSR1))
    with pytest.raises(SystemExit):
        run_training(compose(*arguments("pipeline", *lengths)), tmp_path / "run")
    assert "requeue 7" in calls.read_text()
    assert RunDir(tmp_path / "run" / "stylegan2").read_record().state == "finished"
    assert RunDir(tmp_path / "run" / "multires").read_record() is None
    (attempt,) = read_attempts(tmp_path / "run")
    assert (attempt.state, attempt.images_at_end) == ("requeued", 16)


def test_signals_to_loader_workers_change_nothing(
    train: Train, same_state: Same, at_image: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SLURM signals every process of a step."""
    signalled, others = [], psutil.Process().children()  # which earlier tests of this process left

    def signal_workers() -> None:
        for worker in set(psutil.Process().children()) - set(others):
            signalled.append(worker.pid)
            for name in ("TERM", "USR1", "USR2", "INT"):
                subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)

    at_image(8, signal_workers)
    run = train("run", "stylegan2", 40, "data.workers=1")
    monkeypatch.undo()
    assert len(signalled) == 1
    assert not psutil.pid_exists(signalled[0])
    same_state(run, train("whole", "stylegan2", 40))


def test_attempts_that_cannot_be_written_end_no_training(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run" / "attempts.jsonl").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert train("run", "stylegan2", 8).read_record().state == "finished"
    assert caplog.text.count("does not get its line: Is a directory; training goes on") == 2


# ---- processes of their own


@pytest.mark.slow
def test_signal_while_modules_are_imported(
    arguments: Callable[..., list[str]], slurm: Slurm, train: Train, same_state: Same, tmp_path: Path
) -> None:
    """Before PyTorch is there; then the run is finished."""
    calls, line = slurm(), arguments("stylegan2", "stage.kimg=0.016", "run=run")
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys\n"
        "class Sender:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch' and not sent:\n"
        "            sent.append(os.kill(os.getpid(), signal.SIGUSR1))\n"
        "sent = []\n"
        "sys.meta_path.insert(0, Sender())\n"
        "from anycost.commands import main\n"
        "assert 'torch' not in sys.modules\n"
        "sys.exit(main(['train', *sys.argv[1:]]))\n"
    )
    stopped = subprocess.run([sys.executable, program, *line], cwd=tmp_path, check=False)
    assert stopped.returncode == 128 + signal.SIGUSR1
    assert "requeue 7" in calls.read_text()
    run = train("logs/train/runs/run", "stylegan2", 16)
    assert [one.state for one in read_attempts(run.path)] == ["requeued", "finished"]
    same_state(run, train("whole", "stylegan2", 16))


def test_second_signal_acts_at_once_outside_of_a_job() -> None:
    """Unlike in a job, and unlike that of a process that follows its parent."""
    code = (
        "import os, signal, sys\nfrom anycost import signals\n"
        "with signals.remembered():\n"
        "    os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print(signals.received(), flush=True)\n"
        "print(signals.received(), signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)\n"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    for variables, status, output in (
        ({}, -signal.SIGTERM, "SIGTERM: stopping after this step; a second signal stops at once\n"),
        ({"SLURM_JOB_ID": "7"}, 0, "SIGTERM: stopping after this step\n15\n0 True\n"),
        ({"ANYCOST_PARENT": "1"}, 0, "SIGTERM: stopping after this step\n15\n0 True\n"),
    ):
        done = subprocess.run([sys.executable, "-c", code], env=plain | variables, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (status, output, "")


def test_shielded_worker_ends_at_the_word_of_its_parent() -> None:
    """The parent's SIGTERM is how PyTorch and multiprocessing end workers that they wait for."""
    code = "import time; from anycost.signals import shield_worker; shield_worker(0); print('on'); time.sleep(250)"
    worker = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout.readline() == "on\n"
    subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)
    time.sleep(0.3)
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(timeout=100) == 0
