"""Following the jobs of a sweep until none is left in SLURM's queue, without accounting and without a terminal."""

import logging
import shlex
import time
from collections import Counter
from collections.abc import Sequence

from anycost import signals
from anycost.attempts import read_attempts
from anycost.errors import UserError
from anycost.sweeps.record import Job, Sweep
from anycost.sweeps.slurm import SlurmError
from anycost.sweeps.submit import in_slurm_queue, is_finished

log = logging.getLogger(__name__)

POLL_SEC = (2.0, 30.0)
"""Between two looks at the queue: at first, and after some minutes; a controller has more to do than to answer."""


def wait_for(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Return when all `jobs` are finished; `UserError` with the list when they have left the queue unfinished.

    A signal ends the waiting, not the jobs.
    """
    said, pause, silent = "", POLL_SEC[0], False
    left = list(jobs)
    with signals.remembered():
        while left:
            try:
                queued, silent = in_slurm_queue(sweep), False
            except SlurmError as error:  # a controller that restarts: the jobs go on
                if not silent:
                    log.warning("%s; the jobs are not concerned, asking again", error)
                queued, silent = {job.index: "" for job in left}, True
            left = [job for job in left if job.index in queued]
            line = _line(sweep, jobs, queued)
            if line != said:
                log.info("%s  %s", time.strftime("%H:%M:%S"), line)
                said = line
            if left and not _slept(pause):
                log.warning(following(sweep, "the jobs go on"))
                signals.Stopped(signals.received()).leave()
            pause = min(pause * 1.2, POLL_SEC[1])
    check_outcome(sweep, jobs)


def check_outcome(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Raise `UserError` that lists which of `jobs` are not finished, and why."""
    unfinished = {job.index: job for job in jobs if not is_finished(sweep, job)}
    if unfinished:
        lines = [f"  job {job.index} ({sweep.label(job)}): {_reason(sweep, job, unfinished)}"
                 for job in unfinished.values()]
        raise UserError("\n".join([f"{len(unfinished)} of {len(jobs)} jobs did not finish:", *lines,
                                   f"anycost sweep resubmit {shlex.quote(str(sweep.folder))} continues them"]))


def following(sweep: Sweep, what: str) -> str:
    """How people follow and cancel a sweep that this command does not wait for."""
    folder = shlex.quote(str(sweep.folder))
    return (f"{what}; follow them with\n  anycost sweep status {folder}\n"
            f"cancel them with\n  anycost sweep cancel {folder}")


def _line(sweep: Sweep, jobs: Sequence[Job], queued: dict[int, str]) -> str:
    """`3 finished, 2 in the queue`: how many jobs are where."""
    where = Counter(
        "in the queue" if job.index in queued else "finished" if is_finished(sweep, job) else "not finished"
        for job in jobs
    )
    return ", ".join(f"{count} {what}" for what, count in sorted(where.items()))


def _reason(sweep: Sweep, job: Job, unfinished: dict[int, Job]) -> str:
    if origins := [index for index in job.after if index in unfinished]:
        return f"not run, since it starts from job {origins[0]}"
    attempts = read_attempts(sweep.run_dir(job))
    if not attempts:
        return f"it never started; see what it printed in {sweep.folder}"
    last = attempts[-1]
    if last.error:
        return last.error
    return f"{last.state or 'it died'} at {last.images_at_end} images; see {sweep.run_dir(job) / 'train.log'}"


def _slept(seconds: float) -> bool:
    """Sleep, unless a signal comes; whether none came."""
    end = time.monotonic() + seconds
    while not signals.received() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))
    return not signals.received()
