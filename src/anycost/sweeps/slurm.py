"""A client of SLURM's commands: sbatch, squeue, scancel, scontrol, and sacct where the cluster keeps accounts.

Nothing here needs accounting: what is in the queue comes from squeue, how a job ended from its run folder.
"""

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anycost.errors import UserError

log = logging.getLogger(__name__)

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
AT_WORK = frozenset({"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT",
                     "RESIZING"})
_TIMEOUT_SEC = 120
_VARIABLES = {"array": "ARRAY_INX", "mem": "MEM_PER_NODE", "requeue": "NO_REQUEUE", "time": "TIMELIMIT"}
"""Options of sbatch whose variable of the environment has another name."""


class SlurmError(UserError):
    """A command of SLURM that failed, with its own words."""


@dataclass(frozen=True)
class QueuedJob:
    """What squeue says of a job or array task; `id` is `12_3` for a task. Ended jobs stay for some minutes."""

    id: str
    state: str
    reason: str = ""
    nodes: str = ""
    name: str = ""

    @property
    def waiting(self) -> bool:
        return self.state in WAITING

    @property
    def active(self) -> bool:
        """Whether it runs or will run: handing it out again would make it two."""
        return self.waiting or self.state in AT_WORK


def task_id(array: str, index: int) -> str:
    """The id of the job `index` of a sweep in the array `array`."""
    return f"{array}_{index}"


def require_slurm() -> None:
    """Raise `SlurmError` where this machine cannot submit: no sbatch, no configuration, or no controller."""
    if shutil.which("sbatch") is None:
        raise SlurmError("hydra/launcher=slurm needs sbatch, which is not on PATH; run this on a login node of the "
                         "cluster, or take hydra/launcher=local")
    named = os.environ.get("SLURM_CONF")
    if named and not os.access(named, os.R_OK):  # SLURM itself tries for a minute
        raise SlurmError(f"SLURM_CONF={named} cannot be read; let it name the cluster's slurm.conf, or unset it where "
                         "the cluster's commands find their configuration by themselves")
    _call(["scontrol", "show", "partition", "--oneliner"])


def test(script: str) -> None:
    """Raise `SlurmError` where sbatch would refuse the script, or take it and leave it in the queue for ever.

    What only waits for nodes to come back (sbatch does not tell the one from the other) is a warning.
    """
    try:
        _call(["sbatch", "--test-only"], script, environment_of(script, os.environ))
    except SlurmError as error:
        away = _nodes_away(script) if "node configuration is not available" in str(error) else ""
        if not away:
            raise
        log.warning("sbatch knows no nodes for such a job at present; %s are down or drained, so it is submitted, and "
                    "waits for them. If it asks for more than any node has, it waits for ever", away)


def _nodes_away(script: str) -> str:
    """The nodes of the script's partition that cannot work now, as SLURM writes them; empty where all can."""
    partition = re.search(r"^#SBATCH --partition=(\S+)", script, re.MULTILINE)
    where = [f"--partition={partition[1]}"] if partition else []
    try:
        answer = _call(["sinfo", "--noheader", "--states=down,drain,fail,maint", "--format=%N", *where])
    except SlurmError:
        return ""
    return ",".join(dict.fromkeys(answer.split()))


def submit(script: str) -> str:
    """Hand a batch script to sbatch; the id of the job or array. `SlurmError` with sbatch's own words if refused."""
    answer = _call(["sbatch", "--parsable"], script, environment_of(script, os.environ))
    found = re.match(r"\d+", answer.strip().splitlines()[-1] if answer.strip() else "")
    if found is None:
        raise SlurmError(f"sbatch answered {answer.strip()!r} in place of a job id")
    return found[0]


def environment_of(script: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of sbatch: without what would beat the script's options, or belong to a job this one runs in.

    An SBATCH_PARTITION of somebody's shell beats `#SBATCH --partition`; SLURM_MEM_PER_CPU of an interactive job
    contradicts the --mem of the next.
    """
    options = re.findall(r"^#SBATCH --([\w-]+)", script, re.MULTILINE)
    names = [_VARIABLES.get(option, option.upper().replace("-", "_")) for option in options]
    beaten = {f"SBATCH_{name}" for name in names}
    kept = ("SLURM_CONF", "SLURM_CLUSTERS")
    return {name: value for name, value in environment.items()
            if name not in beaten and (not name.startswith(("SLURM_", "SLURMD_", "PMI")) or name in kept)}


def queue(ids: Iterable[str]) -> dict[str, QueuedJob]:
    """What the queue knows of these jobs and arrays, by id (`12_3` per task); unknown ones are absent.

    Raises `SlurmError` where the controller does not answer.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r|%N|%j",
               f"--jobs={','.join(wanted)}"]
    try:
        answer = _call(command)
    except SlurmError as error:
        if "Invalid job id" in str(error):  # said where none of them is known any more
            return {}
        raise
    rows = [line.strip().split("|", 4) for line in answer.splitlines() if line.count("|") >= 4]
    return {row[0]: QueuedJob(*row) for row in rows}


def tasks_named(name: str, folder: Path) -> list[str]:
    """Ids of the array tasks of this user that wait or run, have this name and were submitted to work in `folder`."""
    answer = _call(["squeue", "--noheader", "--array", f"--user={os.getuid()}", f"--name={name}", "--format=%i|%T|%Z"])
    rows = [line.strip().split("|", 2) for line in answer.splitlines() if line.count("|") >= 2]
    return [row[0] for row in rows if row[2] == str(folder) and QueuedJob(row[0], row[1]).active]


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs, arrays or tasks (`12_3`); those that have ended are no error."""
    if ids:
        _call(["scancel", *ids])


def ended_states(ids: Iterable[str]) -> dict[str, str]:
    """How tasks ended (`COMPLETED`, `FAILED`, `OUT_OF_MEMORY`, ...) by sacct; empty where there is no accounting."""
    wanted = sorted(set(ids))
    if not wanted or shutil.which("sacct") is None:
        return {}
    try:
        answer = _call(["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State",
                        f"--jobs={','.join(wanted)}"])
    except SlurmError:
        return {}
    rows = [line.split("|") for line in answer.splitlines() if line.count("|") == 1]
    return {row[0]: row[1].split()[0] for row in rows if row[1]}


def _call(command: list[str], text: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Output of a command of SLURM; `SlurmError` in its own words where it fails or does not answer."""
    variables = environment if environment is not None else os.environ
    quiet = {name: value for name, value in variables.items() if not name.startswith(("SQUEUE_", "SACCT_"))}
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_SEC, env=quiet)
    except FileNotFoundError as error:
        raise SlurmError(f"{command[0]} is not on PATH; run this on a login node of the cluster") from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]} did not answer within {_TIMEOUT_SEC} s; is the controller alive? "
                         "`scontrol ping` says") from error
    if done.returncode:
        raise SlurmError(_explained(command[0], done.stderr.strip() or done.stdout.strip()))
    return done.stdout


def _explained(command: str, words: str) -> str:
    said = f"{command} failed: {words or 'without a word'}"
    if "configuration source" in words or "slurm.conf" in words or "DNS SRV" in words:
        return (f"{said}\nSLURM finds no configuration: run this on a login node, or let SLURM_CONF name the cluster's "
                f"slurm.conf (SLURM_CONF={os.environ.get('SLURM_CONF', '')})")
    if "Unable to contact slurm controller" in words or "Connection refused" in words:
        return f"{said}\nthe controller does not answer; try again when `scontrol ping` says UP"
    if "Invalid job array" in words:
        return f"{said}\nindices must stay below MaxArraySize (`scontrol show config`): split the sweep"
    return said
