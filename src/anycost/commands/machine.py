"""What verbs ask of the machine: a device, a number of threads, a folder for what is worth keeping."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from anycost.errors import UserError

if TYPE_CHECKING:
    import torch


def device(accelerator: str, index: int = 0, needed: int = 1) -> "torch.device":
    """The CPU, or GPU number `index`, as `accelerator` (auto, cpu, gpu) says.

    Raises `UserError` where a GPU is asked for and there is none, or fewer than `needed`.
    """
    import torch

    if accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("accelerator=gpu: torch finds no CUDA device on this machine; use accelerator=cpu")
    if needed > (count := torch.cuda.device_count()):
        raise UserError(f"devices={needed}: this machine has {count} CUDA devices; lower it, or use accelerator=cpu")
    return torch.device("cuda", index)


def threads(asked: int | None, processes: int = 1) -> int:
    """How many CPU threads each of `processes` gets: what is asked for, else $OMP_NUM_THREADS, else a fair share."""
    if asked is not None:
        return asked
    if (given := os.environ.get("OMP_NUM_THREADS", "")).isdigit() and int(given) > 0:
        return int(given)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores // processes, 1)


def cache_folder(asked: str | None) -> Path:
    """`cache=`, else $ANYCOST_CACHE, else ~/.cache/anycost."""
    return Path(asked or os.environ.get("ANYCOST_CACHE") or "~/.cache/anycost").expanduser()
