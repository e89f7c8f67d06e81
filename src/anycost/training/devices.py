"""The machine: which devices a run may use, and how many threads."""

import os

import torch

from anycost.configuration.schema import TrainerConfig
from anycost.errors import UserError


def uses_gpu(trainer: TrainerConfig) -> bool:
    """Whether `trainer.accelerator` means a GPU on this machine."""
    return trainer.accelerator == "gpu" or (trainer.accelerator == "auto" and torch.cuda.is_available())


def check_devices(trainer: TrainerConfig) -> None:
    """Raise `UserError` where this machine lacks the devices asked for."""
    if not uses_gpu(trainer):
        return
    count = torch.cuda.device_count()
    if not count:
        raise UserError("trainer.accelerator=gpu: torch finds no CUDA device on this machine; use trainer=cpu")
    if trainer.devices > count:
        raise UserError(
            f"trainer.devices={trainer.devices}: this machine has {count} CUDA devices; lower it, or use trainer=cpu"
        )


def set_threads(trainer: TrainerConfig) -> None:
    """The same number of threads in every attempt, since float sums depend on it: `trainer.threads`, or a fair share.

    The variable keeps Lightning from setting another number under DDP.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = trainer.threads or max(cores // trainer.devices, 1)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
