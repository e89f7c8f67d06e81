"""Processes of a run: how local ones start, and a strategy that leaves the module unwrapped (design decision 4)."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy, Strategy

from anycost.configuration.schema import TrainerConfig
from anycost.errors import UserError

_LAUNCHED = ("LOCAL_RANK", "SLURM_PROCID", "TORCHELASTIC_RUN_ID")


class ReplicaStrategy(DDPStrategy):
    """DDP's processes and broadcasts around a plain module: each phase averages its own network's gradients."""

    def configure_ddp(self) -> None:
        """Give every process the weights of the first, and wrap nothing."""
        assert self.model is not None
        for tensor in self.model.state_dict().values():
            dist.broadcast(tensor, 0)


def build_strategy(config: TrainerConfig) -> Strategy | str:
    return ReplicaStrategy() if config.devices * config.num_nodes > 1 else "auto"


def started_elsewhere() -> bool:
    """Whether SLURM, torchrun or a parent process already started one process per device."""
    return any(name in os.environ for name in _LAUNCHED)


def process_rank() -> int:
    """The rank of this process, known before any process group exists."""
    for name in ("SLURM_PROCID", "RANK", "LOCAL_RANK"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


@contextmanager
def local_processes(config: TrainerConfig, config_file: Path) -> Iterator[None]:
    """Start the other processes of this machine and be rank 0 of them; nothing where they exist or one is enough.

    They run `python -m anycost.commands.train --resolved config_file`, never the parent's own arguments. When one of
    them fails, the others are ended and the error is reported.
    """
    if config.devices == 1 or started_elsewhere():
        yield
        return
    if config.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={config.num_nodes} needs a launcher that starts the processes of every node: "
            "srun (see slurm/) or torchrun"
        )
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(config.devices),
        "NODE_RANK": "0",
    }
    command = [sys.executable, "-m", "anycost.commands.train", "--resolved", str(config_file)]
    before = dict(os.environ)
    os.environ.update(shared, LOCAL_RANK="0")
    children = [
        subprocess.Popen(command, env={**os.environ, "LOCAL_RANK": str(rank)}) for rank in range(1, config.devices)
    ]
    watcher = _Watcher(children)
    try:
        yield
        watcher.expect_success()
    finally:
        watcher.stop()
        os.environ.clear()
        os.environ.update(before)


class _Watcher(threading.Thread):
    """Ends this process when a child dies early: a collective would wait for it for ever."""

    def __init__(self, children: list[subprocess.Popen]) -> None:
        super().__init__(daemon=True)
        self.children, self.done = children, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.done.wait(0.5):
            failed = [child for child in self.children if child.poll() not in (None, 0)]
            if failed:
                print(f"error: process {failed[0].pid} of this run ended with {failed[0].returncode}", file=sys.stderr)
                self._end_children()
                os._exit(1)

    def expect_success(self) -> None:
        """Wait for the children of a run that ended well."""
        for child in self.children:
            child.wait(timeout=120)

    def stop(self) -> None:
        self.done.set()
        self._end_children()

    def _end_children(self) -> None:
        for child in self.children:
            if child.poll() is None:
                child.terminate()
        for child in self.children:
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
