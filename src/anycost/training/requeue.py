"""A job of SLURM that a signal stopped is queued again, so that it continues where it was saved.

SLURM sends SIGUSR1 (`--signal`) or SIGTERM before a time limit and at a preemption, SIGTERM at a cancellation too; what
it is tells the state of the job (measured with 22.05). `scontrol requeue` would bring a cancelled job back to life.

| state, as `scontrol show job` has it | what it is | done here |
|---|---|---|
| RUNNING | a signal ahead of the time limit, a preemption in its time of grace | `scontrol requeue` |
| COMPLETING or TIMEOUT, reason TimeLimit | the limit has come, `KillWait` seconds are left | `scontrol requeue` |
| more restarts than this one knows of, PENDING, REQUEUED | SLURM or somebody else queues it again | nothing |
| COMPLETING, CANCELLED, PREEMPTED | `scancel`, or a preemption that cancels | nothing |
"""

import logging
import os
import re
import shutil
import signal
import subprocess
import time

from anycost import signals
from anycost.attempts import PREEMPTED, Attempts, requeued_in_vain, slurm_job
from anycost.errors import UserError

log = logging.getLogger(__name__)

MOST_IN_VAIN = 3
_TIMEOUT_SEC = 20
_PAUSES_SEC = (2.0, 5.0, 10.0)
_PASSING = re.compile("contact|timed out|refused|standby|Zero Bytes|receive failure", re.IGNORECASE)
"""What a controller says, or is said to be, that is too busy to answer or starts anew."""
_BY_HAND = "`anycost sweep resubmit`, or submitting it again, continues it"


def restarted() -> bool:
    """Whether SLURM has started this job before."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0


class _NotQueued(Exception):
    """Why a job is not queued again."""


def end_stopped(stopped: signals.Stopped, attempts: Attempts, images: int) -> None:
    """Write down how an attempt ended that a signal stopped at `images`; a job of SLURM is queued again.

    The line is written before the job is queued, since SLURM kills it then. Raises `UserError` where the job used up
    its time `MOST_IN_VAIN` times in a row and has not got any further, and whatever submitit's handler raises.
    """
    if not (signals.in_job() or signals.in_submitit()):
        attempts.end("stopped", images)
        return
    attempts.end("requeued", images)
    try:
        _queue_again(stopped.number, attempts)
    except _NotQueued as reason:
        attempts.end("stopped", images, str(reason))
        log.warning("this job is not queued again: %s", reason)
    except Exception as error:
        attempts.end("failed", images, str(error) or type(error).__name__)
        raise


def _check_progress(attempts: Attempts) -> None:
    in_vain = requeued_in_vain([*attempts.earlier, attempts.current])
    if in_vain >= MOST_IN_VAIN:
        raise UserError(
            f"this job was stopped {in_vain} times in a row without having trained on any image, so it is not queued "
            "again: its time limit must be longer than it takes to start, to measure (metrics.samples, "
            "callbacks.search) and to train for a step, plus the time of grace; then submit it again"
        )


def _queue_again(number: int, attempts: Attempts) -> None:
    """Ask SLURM, or submitit, to queue this job again; `_NotQueued` where that must not or cannot be."""
    job = slurm_job()
    if job and str(128 + number) == os.environ.get(signals.REQUEUE_STATUS) and shutil.which("scontrol") is None:
        _check_progress(attempts)
        log.info("the batch script queues SLURM job %s again", job)
        return
    facts = _facts(job) if job else {}
    needed = not job or _needs_requeue(facts)
    if not needed or facts.get("PreemptTime", "")[:1].isdigit():  # else it is None, or not there
        attempts.end("requeued", attempts.current.images_at_end, PREEMPTED)
    if not needed:
        log.info("SLURM job %s is in the queue again already", job)
        return
    _check_progress(attempts)
    if signals.in_submitit():
        _hand_to_submitit(number)
    _scontrol("requeue", job)
    log.info("SLURM job %s is queued again", job)


def _needs_requeue(facts: dict[str, str]) -> bool:
    """False where the job is queued again already; `_NotQueued` where it must not be."""
    state, job = facts.get("JobState", ""), facts.get("JobId", "")
    restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    if int(facts.get("Restarts") or 0) > restarts or state in ("PENDING", "REQUEUED"):
        return False
    if facts.get("BatchFlag") == "0":
        raise _NotQueued(f"{job} is an interactive allocation; the same command continues the run")
    if state != "RUNNING" and facts.get("Reason") != "TimeLimit":
        how = "" if state in ("COMPLETING", "CANCELLED") else f" ({state})"
        raise _NotQueued(f"it was cancelled{how}; {_BY_HAND}")
    if facts.get("Requeue") == "0":
        raise _NotQueued(f"job {job} was submitted with --no-requeue; {_BY_HAND}")
    return True


def _hand_to_submitit(number: int) -> None:
    """Call submitit's handler, which queues the job again and ends the first process.

    Its handler of SIGTERM only says that it ignores it, so that of its own signal is called whatever came.
    """
    for candidate in (number, signal.SIGUSR2, signal.SIGUSR1):
        handler = signals.handler_before(candidate)
        if callable(handler) and candidate not in (signal.SIGTERM, signal.SIGINT):
            handler(candidate, None)
            raise _NotQueued("submitit's handler did not queue it")
    if not slurm_job():
        raise _NotQueued("submitit has no handler of signals here; the same command continues the run")


def _facts(job: str) -> dict[str, str]:
    """What SLURM says of a job, by its own names."""
    return dict(re.findall(r"(\w+)=(\S*)", _scontrol("-o", "show", "job", job)))


def _scontrol(*arguments: str) -> str:
    """Output of scontrol, which is asked again while the controller is busy; `_NotQueued` where there is none."""
    for pause in (*_PAUSES_SEC, None):
        try:
            done = subprocess.run(["scontrol", *arguments], capture_output=True, text=True, timeout=_TIMEOUT_SEC)
        except FileNotFoundError:
            raise _NotQueued(f"there is no scontrol here (in a container, bind it in); {_BY_HAND}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        else:
            if not done.returncode:
                return done.stdout
            said = " ".join((done.stderr or done.stdout).split())
        if pause is None or not _PASSING.search(said):
            break
        time.sleep(pause)
    raise _NotQueued(f"scontrol {' '.join(arguments)} failed ({said}); {_BY_HAND}")
