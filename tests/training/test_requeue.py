"""Which jobs of SLURM are queued again after a signal, and what their attempts tell. SLURM is faked."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from anycost import signals
from anycost.attempts import Attempts, read_attempts
from anycost.errors import UserError
from anycost.signals import Stopped
from anycost.training.requeue import MOST_IN_VAIN, end_stopped

Slurm = Callable[..., Path]


def stop(folder: Path, images: int = 8) -> None:
    end_stopped(Stopped(signal.SIGUSR1), Attempts(folder, 0), images)


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
    calls = slurm(("RUNNING Reason=None", "COMPLETING Reason=TimeLimit"))
    stop(tmp_path)
    assert "requeue 7" in calls.read_text()


@pytest.mark.parametrize("change", [("Restarts=0", "Restarts=1"), ("RUNNING", "PENDING")])
def test_job_that_slurm_queues_again_itself_is_left_to_it(
    slurm: Slurm, tmp_path: Path, change: tuple[str, str]
) -> None:
    calls = slurm(change)
    stop(tmp_path)
    assert calls.read_text() == "-o show job 7\n"
    assert read_attempts(tmp_path)[0].state == "requeued"


def test_job_that_was_queued_again_before_knows_its_restarts(slurm: Slurm, tmp_path: Path) -> None:
    calls = slurm(("Restarts=0", "Restarts=2"), SLURM_RESTART_COUNT="2")
    stop(tmp_path)
    assert "requeue 7" in calls.read_text()


def test_image_without_scontrol_leaves_it_to_the_batch_script(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which does so at this exit status; without progress three times in a row it is a failure there too."""
    slurm(**{signals.REQUEUE_STATUS: "138"})
    monkeypatch.setenv("PATH", "/nowhere")
    for _ in range(MOST_IN_VAIN - 1):
        stop(tmp_path, images=0)
    assert [attempt.state for attempt in read_attempts(tmp_path)] == ["requeued"] * (MOST_IN_VAIN - 1)
    with pytest.raises(UserError, match="times in a row"):
        stop(tmp_path, images=0)
    monkeypatch.delenv(signals.REQUEUE_STATUS)
    stop(tmp_path)
    assert read_attempts(tmp_path)[-1].state == "stopped"


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
    calls = slurm((before, after))
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
    calls = slurm(("Restarts", "PreemptEligibleTime=2026-11-21T23:04:37 PreemptTime=2026-11-21T23:04:41 Restarts"))
    for _ in range(2 * MOST_IN_VAIN):
        stop(tmp_path, 0)
    slurm(("RUNNING", "PENDING"))  # without a time of grace SLURM queues it by itself
    for _ in range(2 * MOST_IN_VAIN):
        stop(tmp_path, 0)
    assert calls.read_text().count("requeue 7") == 2 * MOST_IN_VAIN
    assert {(one.state, one.error) for one in read_attempts(tmp_path)} == {("requeued", "preempted")}
    slurm(("Restarts", "PreemptEligibleTime=2026-11-21T23:04:37 PreemptTime=None Restarts"))
    for _ in range(MOST_IN_VAIN - 1):
        stop(tmp_path, 0)
    with pytest.raises(UserError, match="3 times in a row"):
        stop(tmp_path, 0)


def test_cancelled_job_without_progress_is_no_failure(slurm: Slurm, tmp_path: Path) -> None:
    slurm()
    for _ in range(MOST_IN_VAIN - 1):
        stop(tmp_path, 0)
    slurm(("RUNNING", "COMPLETING"))
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
