"""The state of a job, judged from what files, the folder's lock and the queue say. The rules stand in docs/sweeps.md.

The queue is believed first, where it answers: it knows of the future. Then the lock: who holds it is at work. Then the
last line of attempts.jsonl. Accounting is never needed; where SLURM still knows how a job ended, this names the cause.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from anycost.attempts import Attempt
from anycost.sweeps.record import Submission
from anycost.sweeps.slurm import QueuedJob

RUNNING, QUEUED, REQUEUED, WAITING = "running", "queued", "requeued", "waiting"
FINISHED, STOPPED, FAILED, DIED, MISSING = "finished", "stopped", "failed", "died", "missing"

STATES = (FINISHED, RUNNING, REQUEUED, QUEUED, WAITING, STOPPED, FAILED, DIED, MISSING)
"""In the order of the summary line."""
ACTIVE = frozenset({RUNNING, REQUEUED, QUEUED, WAITING})
RESUMABLE = frozenset({STOPPED, FAILED, DIED, MISSING})
"""What `anycost sweep resubmit` hands out again."""

CAUSES = {
    "OUT_OF_MEMORY": "out of memory: cluster.mem_gb asks for more",
    "NODE_FAIL": "the node was lost",
    "TIMEOUT": "the time limit came before it had saved: cluster.grace_seconds gives it more time",
    "DEADLINE": "its deadline passed",
    "BOOT_FAIL": "the node did not start",
    "PREEMPTED": "preempted before it had saved",
}

_QUIET_ENDS = ("", "CANCELLED", "COMPLETED")
"""How SLURM says that nothing went wrong, or says nothing."""

_OWN_FAULT = re.compile(r"(error|[\w.]*(Error|Exception)): ")
"""How the last line begins of a program of ours that ended by itself."""


@dataclass(frozen=True)
class Evidence:
    """All that is known of a job from outside.

    Args:
        attempts: of its run folder, oldest first.
        record: state of its run.json, `finished` only where all its images are seen; empty where there is none.
        locked: whether a process holds the lock of its folder.
        submission: the last one that it was part of.
        queued: what the queue says of it; None where it says nothing, or does not answer.
        queue_answers: whether the queue could be asked.
        ended_as: SLURM's word for how it ended (`OUT_OF_MEMORY`), where it still knows.
        launcher: whether the process of a local submission lives; None where it is not on this machine.
        depends_on: the jobs that it starts from and that are not finished.
        log: the last line that it printed; None where it printed nothing.
    """

    attempts: Sequence[Attempt] = ()
    record: str = ""
    locked: bool = False
    submission: Submission | None = None
    queued: QueuedJob | None = None
    queue_answers: bool = True
    ended_as: str = ""
    launcher: bool | None = None
    depends_on: Sequence[int] = field(default=())
    log: str | None = None

    @property
    def last(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def handed_out_anew(self) -> bool:
        """Whether it was submitted after its last attempt had started."""
        if self.submission is None or self.last is None:
            return self.submission is not None
        own = self.last.slurm_job.startswith(f"{self.submission.id}_")  # clocks of machines differ, ids do not
        return not own and self.last.time < self.submission.time


@dataclass(frozen=True)
class State:
    """One of `STATES` and, in a few words, why."""

    name: str
    detail: str = ""


def judge(evidence: Evidence) -> State:
    """The state of a job."""
    if evidence.queued is not None and evidence.queued.active:
        state = _in_the_queue(evidence, evidence.queued)
        if state is not None:
            return state
    if evidence.locked:
        return State(RUNNING)
    if evidence.record == "finished":
        return State(FINISHED)
    if evidence.handed_out_anew and evidence.submission is not None:
        return _not_started(evidence, evidence.submission)
    if evidence.last is not None:
        return _after(evidence, evidence.last)
    return _by_record(evidence.record)


def _in_the_queue(evidence: Evidence, queued: QueuedJob) -> State | None:
    """What the queue says; None where it lags behind the end of an attempt, which is known."""
    last = evidence.last
    own = last is not None and last.slurm_job == queued.id
    if queued.waiting:
        if own:
            return State(REQUEUED, queued.reason)
        if evidence.locked:  # somebody trains it by hand
            return None
        if queued.reason.startswith("Dependency"):
            return State(WAITING, _depends(evidence) or queued.reason)
        return State(QUEUED, queued.reason)
    if last is not None and own and last.state == "requeued" and queued.state == "COMPLETING":
        return State(REQUEUED)
    if last is not None and own and last.ended and last.state != "requeued":
        return None
    if queued.state not in ("RUNNING", "COMPLETING"):
        return State(RUNNING, queued.state.lower())
    return State(RUNNING, "" if evidence.locked or (own and last is not None and not last.ended) else "starting")


def _not_started(evidence: Evidence, submission: Submission) -> State:
    """A job that was handed out and of whose training there is no sign since."""
    if submission.executor == "local" and evidence.launcher is not False:
        where = "" if evidence.launcher else f"submitted on {submission.host}"
        return State(WAITING, _depends(evidence)) if evidence.depends_on else State(QUEUED, where)
    if submission.executor != "local" and not evidence.queue_answers:
        return State(QUEUED, "as far as files tell")
    if evidence.ended_as in CAUSES:
        return State(DIED, CAUSES[evidence.ended_as])
    if evidence.ended_as == "CANCELLED":
        return State(STOPPED, "cancelled before it trained")
    if evidence.log is not None:  # it started
        return State(FAILED if _OWN_FAULT.match(evidence.log) else DIED, evidence.log)
    if evidence.depends_on:
        return State(STOPPED, f"cancelled: it {_depends(evidence)}, unfinished")
    if evidence.ended_as not in _QUIET_ENDS:
        reason = evidence.queued.reason if evidence.queued is not None else ""
        return State(DIED, f"it did not start: {reason or evidence.ended_as}")
    return State(STOPPED, "its launcher ended" if submission.executor == "local" else "cancelled before it started")


def _after(evidence: Evidence, last: Attempt) -> State:
    """A job whose last attempt is over."""
    if last.state == "failed":
        return State(FAILED, last.error)
    if last.state == "requeued":
        if last.slurm_job and not evidence.queue_answers:
            return State(REQUEUED, "as far as files tell")
        return _after_requeue(evidence)
    if last.state == "finished":
        return State(STOPPED, "it is to be longer now")
    if last.ended:
        return State(STOPPED, last.error.partition(";")[0])
    if evidence.ended_as == "CANCELLED":
        return State(STOPPED, "cancelled before it had saved")
    return State(DIED, CAUSES.get(evidence.ended_as, ""))


def _after_requeue(evidence: Evidence) -> State:
    """A job that was queued again, is not in the queue any more, and has not told of another attempt since."""
    said = evidence.log or ""
    if evidence.ended_as in CAUSES:
        return State(DIED, CAUSES[evidence.ended_as])
    if _OWN_FAULT.match(said):
        return State(FAILED, said)
    if evidence.ended_as not in _QUIET_ENDS:
        return State(DIED, f"it did not start again: {said or evidence.ended_as}")
    return State(STOPPED, "cancelled while it was queued again")


def _by_record(record: str) -> State:
    """A run without attempts.jsonl: of a former version, or one that never began."""
    return State({"stopped": STOPPED, "running": DIED}.get(record, MISSING))


def _depends(evidence: Evidence) -> str:
    return "depends on " + ", ".join(f"#{index}" for index in evidence.depends_on) if evidence.depends_on else ""
