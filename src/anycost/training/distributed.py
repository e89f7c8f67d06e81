"""Processes of a run: how local ones start and end, and a strategy that wraps nothing (design decision 4)."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch.distributed as dist
from pytorch_lightning.plugins.environments import ClusterEnvironment, LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy, Strategy

from anycost.configuration.schema import TrainConfig, TrainerConfig
from anycost.errors import UserError
from anycost.processes import PARENT, end_with_parent, failure
from anycost.training.slurm_step import check_step, meeting_point, read_step

_LAUNCHED = ("LOCAL_RANK", "TORCHELASTIC_RUN_ID")
_GRACE_SEC = 15.0


class ReplicaStrategy(DDPStrategy):
    """DDP's processes and broadcasts around a plain module: each phase averages its own network's gradients."""

    def configure_ddp(self) -> None:
        """Give every process the weights of the first, and wrap nothing."""
        assert self.model is not None
        for tensor in self.model.state_dict().values():
            dist.broadcast(tensor, 0)


def build_strategy(config: TrainerConfig) -> Strategy | str:
    return ReplicaStrategy() if config.devices * config.num_nodes > 1 else "auto"


def cluster_environments() -> list[ClusterEnvironment]:
    """For Lightning's `plugins`: processes are what LOCAL_RANK, NODE_RANK and WORLD_SIZE say; none under torchrun.

    By itself it takes any shell in a SLURM job for a process of srun, and answers SLURM's signals.
    """
    return [] if "TORCHELASTIC_RUN_ID" in os.environ else [LightningEnvironment()]


def started_elsewhere() -> bool:
    """Whether srun, torchrun or a parent process already started one process per device."""
    return any(name in os.environ for name in _LAUNCHED) or read_step() is not None


def process_rank() -> int:
    """The rank of this process, known before any process group exists.

    torchrun comes first, as in Lightning: srun may have started it, and gives all its processes one SLURM_PROCID.
    """
    if "RANK" in os.environ:
        return int(os.environ["RANK"])
    if (step := read_step()) is not None:
        return step.rank
    return int(os.environ.get("LOCAL_RANK", "0"))


def check_launcher(config: TrainConfig) -> None:
    """Raise `UserError` where processes that were started elsewhere are not those of this run, or cannot be."""
    several = config.trainer.devices * config.trainer.num_nodes > 1
    if (step := read_step()) is not None:
        check_step(step, config.trainer)
    elif config.trainer.num_nodes > 1 and not started_elsewhere():
        raise UserError(
            f"trainer.num_nodes={config.trainer.num_nodes} needs a launcher that starts the processes of every node: "
            "srun or torchrun (in a batch script of SLURM: srun python train.py ..., see slurm/ddp.sbatch)"
        )
    if config.resume == "never" and several and started_elsewhere() and PARENT not in os.environ:
        raise UserError("resume=never: processes of a launcher cannot agree on a new folder; name one with run=NAME")


def wait_for_all() -> None:
    """Return when every process has come here."""
    if dist.is_initialized():
        dist.barrier()


@contextmanager
def joined_processes(config: TrainConfig, config_file: Path) -> Iterator[None]:
    """Be one of the processes of a run while the block runs: of those that srun started, or with local ones."""
    if (step := read_step()) is None:
        with local_processes(config.trainer, config_file):
            yield
        return
    before = dict(os.environ)
    os.environ |= step.environment | meeting_point(step, config.cluster.main_address)
    try:
        yield
    finally:
        _leave(before)


@contextmanager
def local_processes(config: TrainerConfig, config_file: Path) -> Iterator[None]:
    """Start the other processes of this machine and be rank 0 of them; nothing where they exist or one is enough.

    They run `python -m anycost.commands.train --resolved config_file`, never the parent's own arguments, and write into
    `process_<rank>.log` beside that file. When one of them fails, all end and a `UserError` says what it said; when
    this process dies, they end too.
    """
    if config.devices == 1 or started_elsewhere():
        if "LOCAL_RANK" in os.environ:
            end_with_parent()
        yield
        return
    before = dict(os.environ)
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(config.devices),
        "NODE_RANK": "0",
        "LOCAL_RANK": "0",
        PARENT: str(os.getpid()),
    }
    children = _Children(config_file, config.devices)
    try:
        yield
        children.join_well()
    except RuntimeError as error:  # a collective that lost its peer
        if failure := children.failure(patience=5):
            raise UserError(failure) from error
        raise
    finally:
        children.end()
        _leave(before)


def _leave(environment: dict[str, str]) -> None:
    """Leave the group of processes; the variables are those of `environment` again."""
    if dist.is_initialized():
        dist.destroy_process_group()
    os.environ.clear()
    os.environ.update(environment)


class _Children(threading.Thread):
    """The other local processes, watched: where one fails, this process would wait in a collective for ever."""

    def __init__(self, config_file: Path, count: int) -> None:
        super().__init__(daemon=True)
        command = [sys.executable, "-m", "anycost.commands.train", "--resolved", str(config_file)]
        self.logs = [config_file.with_name(f"process_{rank}.log") for rank in range(1, count)]
        self.processes = []
        for rank, path in enumerate(self.logs, 1):
            with path.open("wb") as log:
                environment = {**os.environ, "LOCAL_RANK": str(rank)}
                self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        self.done = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.done.wait(0.5):
            if failure := self.failure():
                if not self.done.wait(_GRACE_SEC):  # the main thread hangs; usually it has noticed by itself
                    print(f"error: {failure}", file=sys.stderr, flush=True)
                    self._kill()
                    os._exit(2)
                return

    def failure(self, patience: float = 0.0) -> str | None:
        """What became of the first process that failed, if one does within `patience` seconds, and its last words."""
        end = time.monotonic() + patience
        while True:
            for rank, (process, log) in enumerate(zip(self.processes, self.logs, strict=True), 1):
                if found := failure(process, log, f"process {rank} of this run"):
                    return found
            if time.monotonic() >= end:
                return None
            time.sleep(0.1)

    def join_well(self) -> None:
        """Wait for the children of a run that ended well."""
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=120)
        if failure := self.failure():
            raise UserError(failure)

    def end(self) -> None:
        """End what is left of them; only the first process writes, so there is nothing to lose."""
        self.done.set()
        self._kill()

    def _kill(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
