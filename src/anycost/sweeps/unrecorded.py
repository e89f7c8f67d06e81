"""Array tasks of a sweep that are in SLURM's queue and in none of its records.

They were submitted by hand, with the lines that `cluster.prepare_only=true` prints, or by a command that SLURM did not
answer in time, or that was killed meanwhile.
"""

import socket
from collections.abc import Sequence

from anycost.sweeps import slurm
from anycost.sweeps.record import Submission, Sweep, now
from anycost.sweeps.script import working_folder


def unrecorded(sweep: Sweep, submissions: Sequence[Submission]) -> list[Submission]:
    """What `submissions` lack, as far as name, user and folder of the tasks tell; `SlurmError` where nobody answers."""
    arrays = {entry.id for entry in submissions if entry.executor == "slurm"}
    found: dict[str, list[int]] = {}
    for task in slurm.tasks_named(sweep.name, working_folder(sweep)):
        array, _, index = task.partition("_")
        if array not in arrays and index.isdecimal() and int(index) in {job.index for job in sweep.jobs}:
            found.setdefault(array, []).append(int(index))
    return [Submission(now(), "slurm", array, socket.gethostname(), indices) for array, indices in found.items()]
