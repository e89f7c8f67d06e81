"""What srun says to the processes that it starts: how many they are, which one this is, and where they meet.

Only variables of the step count. Those of the job (SLURM_NTASKS, SLURM_PROCID) are also set in a batch script that
started no processes, and in every shell inside an allocation.
"""

import os
import re
import socket
import subprocess
from dataclasses import dataclass

from anycost.configuration.schema import TrainerConfig
from anycost.errors import UserError


@dataclass(frozen=True)
class Step:
    """A job step of several processes, as one of them sees it."""

    tasks: int
    nodes: int
    node_rank: int
    local_rank: int

    @property
    def rank(self) -> int:
        """As Lightning counts: the processes of a node one after the other. SLURM may deal them out in turns."""
        return self.node_rank * (self.tasks // self.nodes) + self.local_rank

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which torch and Lightning find each other, whoever started the processes."""
        return {"WORLD_SIZE": str(self.tasks), "NODE_RANK": str(self.node_rank), "LOCAL_RANK": str(self.local_rank)}


def read_step() -> Step | None:
    """The step of this process; None where srun started it alone, or did not start it."""
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks == 1 or "TORCHELASTIC_RUN_ID" in os.environ:
        return None
    names = ("SLURM_STEP_NUM_NODES", "SLURM_NODEID", "SLURM_LOCALID")
    return Step(tasks, *(int(os.environ[name]) for name in names))


def check_step(step: Step, trainer: TrainerConfig) -> None:
    """Raise `UserError` where srun started other processes than the run is made of."""
    wanted, each = trainer.devices * trainer.num_nodes, _tasks_of_nodes(step)
    if step.tasks == wanted and step.nodes == trainer.num_nodes and set(each) == {trainer.devices}:
        return
    layout = f"{step.tasks} processes on {step.nodes} node{'s' * (step.nodes > 1)} ({', '.join(map(str, each))})"
    consequence = "each would train by itself in the same folder" if wanted == 1 else "they would wait for each other"
    fitting = f"--nodes={trainer.num_nodes} --ntasks-per-node={trainer.devices}"
    remedy = f"ask sbatch for {fitting}"
    if len(set(each)) == 1:
        remedy += f", or set trainer.devices={each[0]} trainer.num_nodes={step.nodes}"
    raise UserError(f"srun started {layout}, but trainer.devices={trainer.devices} and trainer.num_nodes="
                    f"{trainer.num_nodes}: {consequence}; {remedy}")


def _tasks_of_nodes(step: Step) -> list[int]:
    """`2(x3),1` -> [2, 2, 2, 1]."""
    text = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(count) for count, times in found for _ in range(int(times or 1))] or [step.tasks // step.nodes]


def meeting_point(step: Step, address: str | None) -> dict[str, str]:
    """MASTER_ADDR and MASTER_PORT, the same in all processes of the step; those that are set already win.

    `address` is `cluster.main_address`. Raises `UserError` where the first node has no address that can be found.
    """
    return {
        "MASTER_ADDR": os.environ.get("MASTER_ADDR") or address or ("127.0.0.1" if step.nodes == 1 else _first_node()),
        "MASTER_PORT": os.environ.get("MASTER_PORT") or str(_port()),
    }


def _port() -> int:
    """Of this job, this start of it and this step, below the ports that systems hand out: 12000 to 29999."""
    job, restart, step = (
        int(os.environ.get(name, "0")) for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID")
    )
    return 12000 + (job * 97 + restart * 13 + step) % 18000


def _first_node() -> str:
    """The name of the step's first node where it resolves, else the address by which SLURM reaches it."""
    nodes = os.environ["SLURM_STEP_NODELIST"]
    name = first_name(nodes)
    try:
        socket.getaddrinfo(name, None)
        return name
    except OSError:
        pass
    try:
        known = subprocess.run(["scontrol", "show", "node", name], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        known = ""
    found = re.search(r"NodeAddr=(\S+)", known)
    if found is None or found[1] == name:
        raise UserError(f"the name {name} of the job's first node does not resolve on {socket.gethostname()}, and "
                        "scontrol knows no address of it: let cluster.main_address (or MASTER_ADDR) name one")
    return found[1]


def first_name(nodes: str) -> str:
    """The first name of a list as SLURM writes it: `gpu-[07-09,12],login` -> gpu-07."""
    found = re.match(r"([^,\[]*)(?:\[(\w+)[^\]]*\]([^,\[]*))?", nodes)
    assert found  # every part of the pattern may be empty
    return "".join(part or "" for part in found.groups())
