"""The machine: which devices a run may use, and how many threads."""

import os

import torch

from anycost.configuration.schema import TrainerConfig
from anycost.errors import UserError
from anycost.training.slurm_step import read_step


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
            f"trainer.devices={trainer.devices}: this machine has {count} CUDA devices; lower it, or use trainer=cpu "
            "(a job asks for GPUs per node: with --gpus-per-task each process sees its own alone)"
        )


def set_threads(trainer: TrainerConfig) -> None:
    """The same number of threads in every attempt, since float sums depend on it: `trainer.threads`, or a fair share.

    A process that srun started has the cores of --cpus-per-task to itself. The variable keeps Lightning from setting
    another number under DDP.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = int(os.environ.get("SLURM_CPUS_PER_TASK", "1")) if read_step() else max(cores // trainer.devices, 1)
    threads = trainer.threads or share
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
