"""The batch script of an array of jobs: what the cluster is asked for, and the one line that a task runs.

The same line stands in `slurm/*.sbatch` for people who submit by hand.
"""

import re
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from anycost.configuration.cluster_checks import uses_gpus
from anycost.configuration.schema import ClusterConfig, TrainConfig
from anycost.signals import REQUEUE_STATUS
from anycost.sweeps.record import Job, Sweep, spans_of

LOGS = "slurm"
"""Folder of the batch scripts and of what jobs print, inside the sweep's."""
PREPARED = "prepared_"
"""How the names of scripts begin that people submit themselves."""


def batch_script(sweep: Sweep, jobs: Sequence[Job], config: TrainConfig, after: Sequence[str] = ()) -> str:
    """The script of `jobs`, which share the resources of `config`; they start when the jobs `after` have succeeded."""
    cluster, processes = config.cluster, config.trainer
    indices = spans_of([job.index for job in jobs])
    options = {
        "job-name": sweep.name,
        "array": indices + (f"%{cluster.max_parallel}" if cluster.max_parallel else ""),
        "chdir": str(working_folder(sweep)),
        "output": str(sweep.folder.absolute() / LOGS).replace("%", "%%") + "/%A_%a.out",
        "open-mode": "append",
        "nodes": processes.num_nodes,
        "ntasks-per-node": processes.devices,
        "cpus-per-task": cluster.cpus_per_task,
        "mem": f"{cluster.mem_gb}G" if cluster.mem_gb else None,
        **_gpus(config),
        "time": cluster.minutes,
        "signal": f"USR1@{cluster.grace_seconds}",
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "reservation": cluster.reservation,
        "dependency": f"afterok:{':'.join(after)}" if after else None,
    }
    lines = [f"--{name}={_quoted(value)}" for name, value in options.items() if value is not None]
    flags = ["--requeue", *(["--kill-on-invalid-dep=yes"] if after else []), *cluster.sbatch]
    asked = "\n".join(f"#SBATCH {line}" for line in [*lines, *flags])
    return "\n".join(["#!/bin/bash", asked, "", *cluster.setup, task_line(sweep.folder, cluster), ""])


def task_line(folder: Path, cluster: ClusterConfig) -> str:
    """The shell line that runs the job of this array task.

    USR1 is ignored until Python has its handler: it would kill a task that is still starting. One process that fails
    ends the others, which would wait for it. The cores are repeated, since srun does not ask sbatch for them.
    """
    python = cluster.python or ("python" if cluster.container else sys.executable)
    task = shlex.join([*cluster.container, python, "-m", "anycost.commands.train", "--job", str(folder.absolute())])
    srun = shlex.join(["srun", "--kill-on-bad-exit=1", f"--cpus-per-task={cluster.cpus_per_task}", *cluster.srun])
    line = f"""{srun} bash -c 'trap "" USR1; exec "$@"' task \\\n  {task} "$SLURM_ARRAY_TASK_ID\""""
    return "\n".join([_ASK, line, _QUEUE_AGAIN]) if cluster.container else line


_SAVED = 128 + signal.SIGUSR1
_ASK = f"export {REQUEUE_STATUS}={_SAVED}"
_QUEUE_AGAIN = f"""status=$?
# An image rarely has SLURM's commands: a task that was told to save, and did, is queued again out here. Not one that
# was cancelled, which this would bring back to life.
job="${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
if [ $status = {_SAVED} ] && scontrol -o show job "$job" | grep -Eq "JobState=RUNNING|Reason=TimeLimit"; then
    scontrol requeue "$job"
fi
exit $status"""


def working_folder(sweep: Sweep) -> Path:
    """Where the sweep's command was started, since relative paths in its configurations begin there."""
    return Path(sweep.cwd) if sweep.cwd and Path(sweep.cwd).is_dir() else Path.cwd()


def _gpus(config: TrainConfig) -> dict[str, str]:
    if not uses_gpus(config):
        return {}
    kind = f"{config.cluster.gpu_type}:" if config.cluster.gpu_type else ""
    wanted = f"{kind}{config.trainer.devices}"
    return {"gres": f"gpu:{wanted}"} if config.cluster.gpu_request == "gres" else {"gpus-per-node": wanted}


def _quoted(value: object) -> str:
    """As sbatch reads a value in a script: quoted where it has what would end or change it."""
    text = str(value)
    if not re.search(r"""[\s#"'\\]""", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
