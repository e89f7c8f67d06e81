"""Training ends in good order when its time is up (`trainer.max_minutes`) and when a signal came (`signals.py`)."""

import time
from typing import Any

import pytorch_lightning as pl

from anycost import signals
from anycost.callbacks.after_step import Interrupted, highest
from anycost.callbacks.ending import EndCallback, checkpoint_of
from anycost.signals import Stopped


class StopCallback(pl.Callback):
    """Ends training after the step in which `deadline` (of `time.monotonic`; None is no deadline) passes.

    A signal ends it before the first step, after the step under way, or in the middle of what is done after a step:
    `Stopped` is raised, and a checkpoint of this very image count is written on its way out, without further
    measurements, since a cluster grants only seconds. Where no step is left, what can be interrupted of the end is,
    and the rest is done. All processes end at the same step. Stands behind all other callbacks.
    """

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self._trained = False

    def on_train_start(self, trainer: pl.Trainer, stage: Any) -> None:
        self._ask(False, stage)

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        self._trained = True
        late = self._ask(self.deadline is not None and time.monotonic() >= self.deadline, stage)
        trainer.should_stop = trainer.should_stop or late

    def on_exception(self, trainer: pl.Trainer, stage: Any, exception: BaseException) -> None:
        """Save where training stands if that is not saved yet; dashboards shall not show a failure."""
        if not isinstance(exception, Stopped):
            return
        if isinstance(exception, Interrupted):
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, EndCallback):
                    callback.note(trainer, stage, exception)
            checkpoint_of(trainer).keep(trainer, stage, anew=True)
        elif self._trained:
            checkpoint_of(trainer).keep(trainer, stage)
        for logger in trainer.loggers:
            if hasattr(logger, "mark_stopped"):
                logger.mark_stopped()

    def _ask(self, late: bool, stage: Any) -> bool:
        """Whether time is up for any of the processes; raises `Stopped` where a signal came to any of them."""
        is_late, number = highest([float(late), float(signals.received())], stage.device)
        if number and stage.clock.images < stage.total_images:
            raise Stopped(int(number))
        return bool(is_late)
