"""What can be known of every job of a sweep from outside: its files, locks, SLURM's queue, and accounting if need be.

The queue is asked once for all jobs, and only where SLURM had a part in them.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from anycost.attempts import Attempt, read_attempts
from anycost.files import lock_owner
from anycost.sweeps.progress import Progress, tail
from anycost.sweeps.record import Submission, Sweep, latest_submission, read_submissions
from anycost.sweeps.script import LOGS, PREPARED
from anycost.sweeps.slurm import QueuedJob, SlurmError, ended_states, queue, task_id
from anycost.sweeps.states import CAUSES, DIED, FINISHED, STOPPED, Evidence, judge
from anycost.sweeps.unrecorded import unrecorded

_LAST_LINES = 8
_WORDS = {
    "DUE TO TIME LIMIT": "TIMEOUT",
    "DUE TO NODE FAILURE": "NODE_FAIL",
    "DUE TO PREEMPTION": "PREEMPTED",
    "oom-kill": "OUT_OF_MEMORY",
    "oom_kill": "OUT_OF_MEMORY",
    "Out Of Memory": "OUT_OF_MEMORY",
    " CANCELLED AT ": "CANCELLED",
}
"""What slurmstepd and srun write -> SLURM's state; the special ones first."""


def gather(sweep: Sweep, progress: Mapping[int, Progress]) -> tuple[dict[int, Evidence], str]:
    """The evidence of every job by its index, and one line why SLURM does not answer (empty where it does)."""
    submissions = read_submissions(sweep.folder)
    submissions += _by_hand(sweep, submissions)
    attempts = {job.index: read_attempts(sweep.run_dir(job)) for job in sweep.jobs}
    entries, silence = _ask_queue(sweep, submissions, [runs[-1] for runs in attempts.values() if runs])
    owner = lock_owner(sweep.folder)
    evidence = {}
    for index in attempts:
        submission = latest_submission(submissions, index)
        queued = _entry(entries, index, submission, attempts[index])
        printed = _printed(log_file(sweep, index, submission, attempts[index]), submission)
        in_queue = queued.state if queued is not None and not queued.active else ""
        evidence[index] = Evidence(
            attempts=attempts[index],
            record=progress[index].state,
            locked=lock_owner(sweep.run_dir(sweep.job(index))) is not None,
            submission=submission,
            queued=queued,
            queue_answers=not silence,
            ended_as=in_queue if in_queue in CAUSES else _word_of(printed) or in_queue,
            launcher=_launcher_lives(submission, owner),
            log=printed[-1] if printed else None,
        )
    if not silence:
        evidence.update(_with_accounting(evidence))
    return dict(_with_dependencies(sweep, evidence)), silence


def log_file(sweep: Sweep, index: int, submission: Submission | None, attempts: Sequence[Attempt]) -> Path:
    """Where the newest of what a job printed lies."""
    if submission is not None and submission.executor == "local":
        return sweep.folder / "local" / f"{index}.out"
    task = task_id(submission.id, index) if submission is not None else attempts[-1].slurm_job if attempts else ""
    return sweep.folder / "slurm" / f"{task}.out"


def _by_hand(sweep: Sweep, submissions: Sequence[Submission]) -> list[Submission]:
    """What people have submitted of a sweep that was prepared for them."""
    if not any((sweep.folder / LOGS).glob(f"{PREPARED}*")):
        return []
    try:
        return unrecorded(sweep, submissions)
    except SlurmError:  # which is told where the rest of the queue is asked
        return []


def _ask_queue(
    sweep: Sweep, submissions: Sequence[Submission], last: Sequence[Attempt]
) -> tuple[dict[str, QueuedJob], str]:
    """What the queue says by id, and why it says nothing.

    Jobs of another name are left out: a cluster that was set up anew counts its jobs from one again.
    """
    arrays = {entry.id for entry in submissions if entry.executor == "slurm"}
    by_hand = {attempt.slurm_job.partition("_")[0] for attempt in last if attempt.slurm_job} - arrays
    try:
        answer = queue(arrays | by_hand)
    except SlurmError as error:
        return {}, f"{str(error).splitlines()[0]}; states are what the files tell"
    known = {id_: job for id_, job in answer.items() if job.name == sweep.name or id_.partition("_")[0] in by_hand}
    return known, ""


def _entry(
    entries: Mapping[str, QueuedJob], index: int, submission: Submission | None, attempts: Sequence[Attempt]
) -> QueuedJob | None:
    """The job's entry in the queue: an active one, else that of the last time it was handed out."""
    ids = [task_id(submission.id, index)] if submission is not None and submission.executor == "slurm" else []
    ids += [attempts[-1].slurm_job] if attempts else []
    found = [entries[id_] for id_ in ids if id_ in entries]
    return next((entry for entry in found if entry.active), found[0] if found else None)


def _launcher_lives(submission: Submission | None, owner: int | None) -> bool | None:
    """Whether the local pool still works: it owns the sweep's folder; None where it is on another machine."""
    if submission is None or submission.executor != "local" or submission.host != socket.gethostname():
        return None
    return owner is not None and str(owner) == submission.id


def _printed(log: Path, submission: Submission | None) -> list[str]:
    """The end of what a job printed since it was handed out, in lines; none where it printed nothing since."""
    try:
        written = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    except OSError:
        return []
    # A local job has one log for all its starts.
    if submission is not None and submission.executor == "local" and written < datetime.fromisoformat(submission.time):
        return []
    lines = [line.strip() for line in tail(log).splitlines() if line.strip()]
    # srun tells in further lines that it ends what is left of a step; the cause stands before them.
    return [line for line in lines if not line.startswith("srun: ") or "error:" in line]


def _word_of(printed: Sequence[str]) -> str:
    """How SLURM itself says in a job's log that it ended it; so this is known when its queue has forgotten the job.

    A log goes on when a job is queued again: that this ended an earlier start says nothing of the last one.
    """
    last = (line for line in printed[-_LAST_LINES:] if "DUE TO JOB REQUEUE" not in line)
    said = "\n".join(line for line in last if line.startswith(("slurmstepd", "srun: error")))
    return next((word for phrase, word in _WORDS.items() if phrase in said), "")


def _with_accounting(evidence: Mapping[int, Evidence]) -> Iterator[tuple[int, Evidence]]:
    """What accounting adds: how jobs ended that the queue has forgotten."""
    asked = {
        index: known.last.slurm_job
        for index, known in evidence.items()
        if known.last is not None and known.last.slurm_job and not known.ended_as
        and judge(known).name in (DIED, STOPPED)
    }
    words = ended_states(asked.values())
    for index, id_ in asked.items():
        yield index, replace(evidence[index], ended_as=words.get(id_, ""))


def _with_dependencies(sweep: Sweep, evidence: Mapping[int, Evidence]) -> Iterator[tuple[int, Evidence]]:
    finished = {index for index, known in evidence.items() if judge(known).name == FINISHED}
    for job in sweep.jobs:
        yield job.index, replace(evidence[job.index], depends_on=[one for one in job.after if one not in finished])
