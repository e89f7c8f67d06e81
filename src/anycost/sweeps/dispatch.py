"""Handing out the jobs of a sweep that are neither finished nor in the queue: a launcher's work, and `resubmit`'s.

The sweep's folder is locked meanwhile, as long as a local pool works too, so that two commands never hand out the same
job.
"""

import logging
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anycost.errors import UserError
from anycost.files import lock_folder
from anycost.sweeps import slurm
from anycost.sweeps.local import LOGS, run_locally
from anycost.sweeps.record import Job, Sweep, read_sweep, spans_of
from anycost.sweeps.submit import (
    adopt_unrecorded,
    in_slurm_queue,
    origins_left,
    prepare_for_slurm,
    submit_to_slurm,
    to_hand_out,
)
from anycost.sweeps.waiting import following, wait_for

log = logging.getLogger(__name__)


@contextmanager
def owned(sweep_folder: Path) -> Iterator[None]:
    """Own a sweep while jobs are handed out; `UserError` where another command does so."""
    busy = (f"another command hands out jobs of {sweep_folder} at this moment, or runs them on its machine; `anycost "
            f"sweep status {shlex.quote(str(sweep_folder))}` shows them")
    with lock_folder(sweep_folder, busy):
        yield


def hand_out(sweep: Sweep, jobs: Sequence[Job], executor: str, detach: bool = False) -> None:
    """Hand out those of `jobs` that are neither finished nor in the queue; unless `detach`, wait for all of `jobs`.

    `executor` is `slurm` or `local`. Raises `UserError` where the cluster refuses them, with nothing submitted, and
    where some have ended unfinished, with a list of these.
    """
    if executor == "local":
        (_start_pool if detach else _run_pool)(sweep, jobs)
        return
    slurm.require_slurm()
    with owned(sweep.folder):
        adopt_unrecorded(sweep)
        queued = in_slurm_queue(sweep)
        chosen = _chosen(sweep, jobs, queued)
        for entry in submit_to_slurm(sweep, chosen, queued):
            log.info("submitted job %s: %s", spans_of(entry.indices), f"{entry.id}_[{spans_of(entry.indices)}]")
    if detach:
        at_work = bool(chosen or queued)
        log.info(following(sweep, f"{sweep.folder} is in the queue") if at_work else f"{sweep.folder} is finished")
    else:
        wait_for(sweep, jobs)


def prepare(sweep: Sweep, jobs: Sequence[Job], executor: str) -> None:
    """Print the commands that hand out those of `jobs` that are neither finished nor in the queue."""
    if executor == "local":
        folder = shlex.quote(str(sweep.folder))
        log.info("prepared %s; this line runs its jobs:\n  anycost sweep resubmit %s launcher=local", folder, folder)
        return
    with owned(sweep.folder):
        adopt_unrecorded(sweep)
        queued = in_slurm_queue(sweep)
        lines = prepare_for_slurm(sweep, _chosen(sweep, jobs, queued), queued)
    log.info("\n  ".join([f"prepared {sweep.folder}; these lines submit its jobs:", *lines]))


def _chosen(sweep: Sweep, jobs: Sequence[Job], queued: dict[int, str]) -> list[Job]:
    chosen = to_hand_out(sweep, jobs, queued)
    waiting = sum(job.index in queued for job in jobs)
    log.info("%s: %d jobs, %d finished, %d in the queue, %d to hand out", sweep.folder, len(jobs),
             len(jobs) - waiting - len(chosen), waiting, len(chosen))
    return chosen


def _run_pool(sweep: Sweep, jobs: Sequence[Job]) -> None:
    with owned(sweep.folder):
        queued = in_slurm_queue(sweep)
        if waiting := [job for job in jobs if job.index in queued]:
            log.warning("%d jobs are left to SLURM, in whose queue they are", len(waiting))
        run_locally(sweep, _chosen(sweep, jobs, queued))


def _start_pool(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """A pool of its own session, which outlives this terminal."""
    with owned(sweep.folder):  # what would end it at once is said here
        for job in jobs:
            origins_left(sweep, job, [other.index for other in jobs])
    output = sweep.folder / LOGS / "pool.out"
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "anycost.sweeps.dispatch", str(sweep.folder), *(str(job.index) for job in jobs)]
    with output.open("ab") as file:
        pool = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    log.info(following(sweep, f"process {pool.pid} runs the jobs of {sweep.folder} and writes into {output}"))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    read = read_sweep(sys.argv[1])
    try:
        hand_out(read, [read.job(int(index)) for index in sys.argv[2:]], "local")
    except UserError as error:
        sys.exit(f"error: {error}")
