"""Ending jobs of one sweep, and of no other: array tasks by their ids, local processes by the locks that they hold.

A process is signalled only where it holds, at this moment, the lock of the job's folder (or of the sweep's): so a
number that meanwhile belongs to another process is never mistaken for it.
"""

import os
import signal
import socket
from collections.abc import Sequence

from anycost.files import lock_owner
from anycost.sweeps.record import spans_of
from anycost.sweeps.slurm import cancel
from anycost.sweeps.status import JobStatus, SweepStatus


def cancel_jobs(status: SweepStatus, jobs: Sequence[JobStatus]) -> list[str]:
    """End those of `jobs` that are active; what was done, and what could not be, one line each.

    A job of SLURM or of this machine is told to save and to end; its state is then `stopped`.
    """
    active = [job for job in jobs if job.active]
    in_slurm = [job for job in active if job.evidence.queued is not None and job.evidence.queued.active]
    cancel([job.slurm_job for job in in_slurm])
    done = [f"#{job.job.index}: cancelled {job.slurm_job}" for job in in_slurm]
    local = [job for job in active if job not in in_slurm]
    of_pool = [job for job in status.jobs if job.active and job.evidence.launcher]
    if of_pool and all(job in local for job in of_pool):
        done += _end_pool(status, of_pool)
        local = [job for job in local if job not in of_pool]
    return done + [_end_process(job) for job in local]


def _end_pool(status: SweepStatus, jobs: Sequence[JobStatus]) -> list[str]:
    """End the pool that would start the jobs which still wait. It tells those that run to save: one signal is enough,
    the second would end them at once."""
    owner = lock_owner(status.sweep.folder)
    if not owner:
        return []
    os.kill(owner, signal.SIGTERM)
    return [f"the local launcher (process {owner}) ends, with its jobs {spans_of([job.job.index for job in jobs])}"]


def _end_process(job: JobStatus) -> str:
    """Tell the process that trains in the job's folder to save and end."""
    name, last, owner = f"#{job.job.index}", job.evidence.last, lock_owner(job.folder)
    here = socket.gethostname()
    if owner and last is not None and (last.host, last.pid) == (here, owner):
        os.kill(owner, signal.SIGTERM)
        return f"{name}: process {owner} saves and ends"
    if last is not None and not last.ended and last.host != here:
        return f"{name}: runs on {last.host}; run the same command there"
    if job.evidence.submission is not None and job.evidence.submission.host != here:
        return f"{name}: was submitted on {job.evidence.submission.host}; run the same command there"
    if job.evidence.launcher:
        return f"{name}: not at work yet; it can be cancelled with its whole launcher only: leave jobs= out"
    return f"{name}: {job.state.name}, but no process of it is to be found here"
