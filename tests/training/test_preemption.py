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

from anycost import signals
from anycost.attempts import Attempts, read_attempts
from anycost.callbacks import checkpoint
from anycost.errors import UserError
from anycost.runs import RunDir
from anycost.signals import Stopped
from anycost.stages.clock import Clock
from anycost.training.requeue import MOST_IN_VAIN, end_stopped

Train = Callable[..., RunDir]
Same = Callable[[RunDir, RunDir], None]
Slurm = Callable[..., Path]

RUNNING = "JobId=7 JobState=RUNNING Reason=None Requeue=1 Restarts=0 BatchFlag=1"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """`slurm(facts, refuses="")`: this process is that job; the file that `scontrol` writes its calls to."""

    def fake(facts: str = RUNNING, refuses: str = "", **variables: str) -> Path:
        calls, program = tmp_path / "calls", tmp_path / "bin" / "scontrol"
        program.parent.mkdir(exist_ok=True)
        calls.touch()
        refusal = f'echo "{refuses}" >&2; exit 1' if refuses else "exit 0"
        program.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n[ "$1" = -o ] && echo "{facts}" && exit 0\n{refusal}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        for name, value in {"SLURM_JOB_ID": "7", **variables}.items():
            monkeypatch.setenv(name, value)
        return calls

    return fake


def stop(folder: Path, images: int = 8) -> None:
    end_stopped(Stopped(signal.SIGUSR1), Attempts(folder, 0), images)


# ---- which jobs are queued again


def test_running_job_is_queued_again_once(slurm: Slurm, tmp_path: Path) -> None:
    calls = slurm()
    stop(tmp_path)
    assert calls.read_text() == "-o show job 7\nrequeue 7\n"
    (attempt,) = read_attempts(tmp_path)
    assert (attempt.state, attempt.images_at_end, attempt.error, attempt.slurm_job) == ("requeued", 8, "", "7")


def test_task_of_an_array_goes_by_its_own_name(slurm: Slurm, tmp_path: Path) -> None:
    calls = slurm(SLURM_ARRAY_JOB_ID="5", SLURM_ARRAY_TASK_ID="2")
    stop(tmp_path)
    assert calls.read_text() == "-o show job 5_2\nrequeue 5_2\n"


def test_job_at_its_time_limit_is_queued_again(slurm: Slurm, tmp_path: Path) -> None:
    """As SLURM 22.05 shows it within the seconds of KillWait."""
    calls = slurm(RUNNING.replace("RUNNING Reason=None", "COMPLETING Reason=TimeLimit"))
    stop(tmp_path)
    assert "requeue 7" in calls.read_text()


@pytest.mark.parametrize(("before", "after"), [("Restarts=0", "Restarts=1"), ("RUNNING", "PENDING")])
def test_job_that_slurm_queues_again_itself_is_left_to_it(
    slurm: Slurm, tmp_path: Path, before: str, after: str
) -> None:
    calls = slurm(RUNNING.replace(before, after))
    stop(tmp_path)
    assert calls.read_text() == "-o show job 7\n"
    assert read_attempts(tmp_path)[0].state == "requeued"


def test_job_that_was_queued_again_before_knows_its_restarts(slurm: Slurm, tmp_path: Path) -> None:
    calls = slurm(RUNNING.replace("Restarts=0", "Restarts=2"), SLURM_RESTART_COUNT="2")
    stop(tmp_path)
    assert "requeue 7" in calls.read_text()


@pytest.mark.parametrize(("before", "after", "reason"), [
    ("RUNNING", "COMPLETING", "it was cancelled"),
    ("RUNNING", "CANCELLED", "it was cancelled"),
    ("Requeue=1", "Requeue=0", "--no-requeue; `anycost sweep resubmit`"),
    ("BatchFlag=1", "BatchFlag=0", "interactive allocation"),
])
def test_job_that_must_not_be_queued_again(
    slurm: Slurm, tmp_path: Path, caplog: pytest.LogCaptureFixture, before: str, after: str, reason: str
) -> None:
    """`scontrol requeue` would bring a cancelled job back to life."""
    calls = slurm(RUNNING.replace(before, after))
    stop(tmp_path)
    assert calls.read_text() == "-o show job 7\n"
    (attempt,) = read_attempts(tmp_path)
    assert attempt.state == "stopped"
    assert reason in attempt.error
    assert len(caplog.messages) == 1
    assert reason in caplog.text


def test_refusal_and_absence_of_scontrol_are_said(
    slurm: Slurm, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm(refuses="Requested operation is presently disabled")
    stop(tmp_path)
    assert "scontrol requeue 7 failed (Requested operation is presently disabled)" in caplog.text
    monkeypatch.setenv("PATH", str(tmp_path))
    stop(tmp_path)
    assert "there is no scontrol here" in caplog.text
    assert [one.state for one in read_attempts(tmp_path)] == ["stopped", "stopped"]


def test_no_progress_three_times_in_a_row_is_a_failure(slurm: Slurm, tmp_path: Path) -> None:
    """One that got further in between begins the count anew."""
    calls = slurm()
    for images in (0, 0, 8, 0, 0):
        stop(tmp_path, images)
    with pytest.raises(UserError, match="3 times in a row without having trained on any image"):
        stop(tmp_path, 0)
    assert calls.read_text().count("requeue 7") == 5
    assert read_attempts(tmp_path)[-1].state == "failed"


def test_preemptions_in_vain_are_not_the_fault_of_the_job(slurm: Slurm, tmp_path: Path) -> None:
    """On a busy cluster a job may be thrown out many times before its first step; what SLURM says of it is real."""
    calls = slurm(RUNNING + " PreemptEligibleTime=2026-11-21T23:04:37 PreemptTime=2026-11-21T23:04:41")
    for _ in range(2 * MOST_IN_VAIN):
        stop(tmp_path, 0)
    slurm(RUNNING.replace("RUNNING", "PENDING"))  # without a time of grace SLURM queues it by itself
    for _ in range(2 * MOST_IN_VAIN):
        stop(tmp_path, 0)
    assert calls.read_text().count("requeue 7") == 2 * MOST_IN_VAIN
    assert {(one.state, one.error) for one in read_attempts(tmp_path)} == {("requeued", "preempted")}
    slurm(RUNNING + " PreemptEligibleTime=2026-11-21T23:04:37 PreemptTime=None")
    for _ in range(MOST_IN_VAIN - 1):
        stop(tmp_path, 0)
    with pytest.raises(UserError, match="3 times in a row"):
        stop(tmp_path, 0)


def test_cancelled_job_without_progress_is_no_failure(slurm: Slurm, tmp_path: Path) -> None:
    slurm()
    for _ in range(MOST_IN_VAIN - 1):
        stop(tmp_path, 0)
    slurm(RUNNING.replace("RUNNING", "COMPLETING"))
    stop(tmp_path, 0)
    assert read_attempts(tmp_path)[-1].state == "stopped"


def test_busy_controller_is_asked_again(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is final, a silence is not: it would cost the job its place."""
    monkeypatch.setattr("anycost.training.requeue._PAUSES_SEC", (0.0, 0.0))
    calls = slurm(refuses="slurm_requeue error: Socket timed out on send/recv operation")
    stop(tmp_path)
    assert calls.read_text().count("requeue 7") == 3
    assert "Socket timed out" in read_attempts(tmp_path)[-1].error
    slurm(refuses="Requested operation is presently disabled")
    stop(tmp_path)
    assert calls.read_text().count("requeue 7") == 4


def test_submitit_is_handed_its_own_signal(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever came: its handler of SIGTERM only says that it ignores it."""
    calls, handed = slurm(SUBMITIT_EXECUTOR="slurm"), []

    def queue_again(number: int, frame: object) -> None:
        handed.append(number)
        raise SystemExit(-1)

    before = signal.signal(signal.SIGUSR2, queue_again)
    try:
        with signals.remembered():
            os.kill(os.getpid(), signal.SIGUSR2)
            assert signals.received() == signal.SIGUSR2
            for number in (signal.SIGUSR2, signal.SIGTERM):
                with pytest.raises(SystemExit):
                    end_stopped(Stopped(number), Attempts(tmp_path, 0), 8)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert handed == [signal.SIGUSR2, signal.SIGUSR2]
    assert "requeue" not in calls.read_text()
    assert [one.state for one in read_attempts(tmp_path)] == ["requeued", "requeued"]


# ---- in training


@pytest.fixture
def at_image(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """`at_image(n, act)`: act in the step that ends with n images."""

    def plan(images: int, act: Callable[[], object]) -> None:
        advance = Clock.advance

        def advance_and_act(clock: Clock) -> None:
            advance(clock)
            if clock.images == images:
                act()

        monkeypatch.setattr(Clock, "advance", advance_and_act)

    return plan


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
    signalled = []

    def signal_workers() -> None:
        for worker in psutil.Process().children():
            signalled.append(worker.pid)
            for name in ("TERM", "USR1", "USR2", "INT"):
                subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)

    at_image(8, signal_workers)
    run = train("run", "stylegan2", 40, "data.workers=1")
    monkeypatch.undo()
    assert len(signalled) == 1
    assert not psutil.pid_exists(signalled[0])
    same_state(run, train("whole", "stylegan2", 40))


# ---- from the command line


@pytest.mark.slow
def test_signal_while_modules_are_imported(
    arguments: Callable[..., list[str]], slurm: Slurm, train: Train, same_state: Same, tmp_path: Path
) -> None:
    """Before PyTorch is there; then the same command finishes the run."""
    calls = slurm()
    line = arguments("stylegan2", "stage.kimg=0.016", "run=run")
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys\n"
        "class Sender:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch' and not sent:\n"
        "            sent.append(os.kill(os.getpid(), signal.SIGUSR1))\n"
        "sent = [] if sys.argv[1] == 'send' else ['never']\n"
        "sys.meta_path.insert(0, Sender())\n"
        "from anycost.commands import main\n"
        "assert 'torch' not in sys.modules\n"
        "sys.exit(main(['train', *sys.argv[2:]]))\n"
    )
    statuses = [
        subprocess.run([sys.executable, program, action, *line], cwd=tmp_path, timeout=300, check=False).returncode
        for action in ("send", "finish")
    ]
    assert statuses == [128 + signal.SIGUSR1, 0]
    run = RunDir(tmp_path / "logs" / "train" / "runs" / "run")
    assert [one.state for one in read_attempts(run.path)] == ["requeued", "finished"]
    assert "requeue 7" in calls.read_text()
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
    code = "import time; from anycost.signals import shield_worker; shield_worker(0); print('on'); time.sleep(60)"
    worker = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout.readline() == "on\n"
    subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)
    time.sleep(0.3)
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(timeout=20) == 0


# ---- the list of attempts


def test_damaged_list_of_attempts_keeps_what_is_whole(tmp_path: Path) -> None:
    for images in (8, 16):
        Attempts(tmp_path, images - 8).end("stopped", images, "Traceback\n  line\nthe last line\n")
    path = tmp_path / "attempts.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\x00\xff{\n" + lines[0] + b'{"attempt": "x"}\n[1]\n' + b"".join(lines[1:]) + lines[1][:20])
    Attempts(tmp_path, 16)
    found = read_attempts(tmp_path)
    assert [(one.attempt, one.state, one.images, one.images_at_end) for one in found] == [
        (1, "stopped", 0, 8), (2, "stopped", 8, 16), (3, "", 16, 16),
    ]  # fmt: skip
    assert found[0].error == "the last line"
    assert read_attempts(tmp_path / "nowhere") == []


def test_attempts_that_cannot_be_written_end_no_training(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run" / "attempts.jsonl").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert train("run", "stylegan2", 8).read_record().state == "finished"
    assert caplog.text.count("does not get its line: Is a directory; training goes on") == 2
