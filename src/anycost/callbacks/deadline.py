"""`trainer.max_minutes`: training ends in good order when its time is up."""

import time
from typing import Any

import pytorch_lightning as pl
import torch

from anycost.stages.gradients import average


class DeadlineCallback(pl.Callback):
    """Stops after the step in which `deadline` (of `time.monotonic`) passes; all processes stop at the same step.

    None is no deadline.
    """

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.reached = False

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        if self.deadline is None:
            return
        late = torch.tensor(float(time.monotonic() >= self.deadline), device=stage.device)
        if float(average(late)) > 0:
            self.reached = True
            trainer.should_stop = True
