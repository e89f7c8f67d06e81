"""The processes that share one evaluation: who this one is, and how further local ones start, fail and end.

They never talk to each other: each takes whole shards, and the shards' files are all that passes between them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from anycost.errors import UserError
from anycost.files import explained_errors
from anycost.processes import PARENT, failure


@dataclass
class Team:
    """This process among those that share the evaluation: `rank` of `size`, device `local_rank` of its machine.

    `logs` and `children` are those of the local processes that this one started.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    logs: list[Path] = field(default_factory=list)
    children: list[subprocess.Popen] = field(default_factory=list)

    @property
    def leads(self) -> bool:
        """Whether this process merges and writes the records."""
        return self.rank == 0

    @property
    def is_left_alone(self) -> bool:
        """Whether this process started others and all of them have ended well."""
        return bool(self.children) and all(child.poll() == 0 for child in self.children)

    def takes(self, unit: int) -> bool:
        """Whether the shard with this number belongs to this process."""
        return unit % self.size == self.rank

    def check(self) -> None:
        """Raise `UserError`, with its last words, where a process that this one started has failed."""
        for rank, (child, log) in enumerate(zip(self.children, self.logs, strict=True), 1):
            if found := failure(child, log, f"process {rank} of this evaluation"):
                raise UserError(found)


def launched_team() -> Team | None:
    """The team that torchrun, srun or a parent process made, or None where nobody started several processes.

    torchrun comes first: srun may have started it, and gives all its processes one SLURM_PROCID. A batch script of
    SLURM that is not under srun has no step of its own and counts as one process.
    """
    env = os.environ
    if "RANK" in env and "WORLD_SIZE" in env:
        return Team(int(env["RANK"]), int(env["WORLD_SIZE"]), int(env.get("LOCAL_RANK", 0)))
    tasks = env.get("SLURM_STEP_NUM_TASKS", env.get("SLURM_NTASKS", "1"))
    if "SLURM_PROCID" in env and "SLURM_STEP_ID" in env and int(tasks) > 1:
        return Team(int(env["SLURM_PROCID"]), int(tasks), int(env.get("SLURM_LOCALID", 0)))
    return None


@contextmanager
def local_team(devices: int, module: str, arguments: Sequence[str], logs: Path) -> Iterator[Team]:
    """This process with `devices - 1` further local ones, `python -m module arguments`, which end when this one does.

    They write into `logs/process_<rank>.log`; these files go when all end well.
    """
    team = Team(size=devices)
    try:
        for rank in range(1, devices):
            environment = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(devices), "LOCAL_RANK": str(rank),
                           PARENT: str(os.getpid())}  # fmt: skip
            path = logs / f"process_{rank}.log"
            with explained_errors(path):
                logs.mkdir(parents=True, exist_ok=True)
                log = path.open("wb")
            with log:
                command = [sys.executable, "-m", module, *arguments]
                team.children.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            team.logs.append(path)
        yield team
        for child in team.children:
            child.wait(timeout=60)
        team.check()
        for path in team.logs:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            logs.rmdir()
    finally:
        for child in team.children:
            child.kill()  # nothing is lost: what it wrote appeared whole
        for child in team.children:
            child.wait()
