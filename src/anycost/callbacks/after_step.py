"""What is done after steps at certain image counts: by the first process, interrupted by a signal to any of them."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from anycost import signals
from anycost.stages.gradients import world_size

Pulse = Callable[[], object]


class Interrupted(signals.Stopped):
    """A signal came while `callback` was at work: what it and those behind it do is left for the next start."""

    def __init__(self, number: int, callback: "AfterStep") -> None:
        super().__init__(number)
        self.callback = callback


class AfterStep(pl.Callback):
    """Base of callbacks that draw, measure, search, show and save; `EndCallback` makes up for what they missed.

    `on_train_batch_end` does what is due at the present image count, `on_train_end` what was not done there. Both give
    the same results when they are called again for the same image count.
    """

    def by_first_process(self, trainer: pl.Trainer, stage: Any, work: Callable[[Pulse], None]) -> None:
        """Let the first process do `work` while the others wait; all return, or all raise `Interrupted`.

        `work` calls the pulse that it gets between two pieces of itself: then all processes tell each other whether a
        signal has come. So nobody waits in one collective for longer than a piece takes.
        """
        if trainer.is_global_zero:
            work(lambda: self._round(stage, done=False))
            self._round(stage, done=True)
        else:
            while not self._round(stage, done=False):
                pass

    def _round(self, stage: Any, done: bool) -> bool:
        finished, number = highest([float(done), float(signals.received())], stage.device)
        if number and not finished:
            raise Interrupted(int(number), self)
        return bool(finished)


def highest(values: list[float], device: torch.device) -> list[float]:
    """The highest of each value over the processes, which all call this."""
    if world_size() == 1:
        return values
    joint = torch.tensor(values, device=device)
    dist.all_reduce(joint, dist.ReduceOp.MAX)
    return joint.tolist()
