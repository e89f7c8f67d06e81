"""Throughput and memory, on the x-axis of images like everything else."""

import resource
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch


class ThroughputCallback(pl.Callback):
    """Logs means over `every_kimg` thousand images.

    `timing/sec_per_kimg` counts the steps alone; `timing/images_per_sec` the whole time, with loading, measuring and
    writing; `timing/memory_gib` is the highest memory of this process so far (on CUDA the device's allocations).
    """

    def __init__(self, every_kimg: float) -> None:
        self.every_kimg = every_kimg

    def on_train_start(self, trainer: pl.Trainer, stage: Any) -> None:
        self._start_window(stage)

    def on_train_batch_start(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        self.step_start = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        due = stage.clock.crossed(self.every_kimg)
        if due and stage.device.type == "cuda":
            torch.cuda.synchronize(stage.device)
        now = time.perf_counter()
        self.seconds += now - self.step_start
        if due:
            images = stage.clock.images - self.window_images
            stage.log_values(
                {
                    "timing/sec_per_kimg": 1000 * self.seconds / images,
                    "timing/images_per_sec": images / (now - self.window_start),
                    "timing/memory_gib": peak_memory_gib(stage.device),
                }
            )
            self._start_window(stage)

    def _start_window(self, stage: Any) -> None:
        self.window_images, self.window_start, self.seconds = stage.clock.images, time.perf_counter(), 0.0


def peak_memory_gib(device: torch.device) -> float:
    """Highest memory so far in GiB: allocated on a CUDA device, else resident of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
