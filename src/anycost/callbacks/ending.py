"""What was not done after a step, because a signal or a kill came, is done when the run continues."""

from typing import Any

import pytorch_lightning as pl

from anycost.callbacks.after_step import AfterStep, Interrupted
from anycost.callbacks.checkpoint import CheckpointCallback


class EndCallback(pl.Callback):
    """Makes up for grid, measurements, search and checkpoint of the image count that the run continues at.

    A checkpoint that was written because of a signal in the middle of them says which of them are left. Where it
    says nothing and no image is left to train, all are done: Lightning starts no training then and calls none of its
    hooks. Stands behind the callbacks that it calls.
    """

    def __init__(self) -> None:
        self.left: list[str] = []  # names of callbacks
        self.measured: dict[str, float] = {}  # what was measured before them at the same image count

    def on_fit_start(self, trainer: pl.Trainer, stage: Any) -> None:
        at_end = stage.clock.images >= stage.total_images
        callbacks = _after_step(trainer)
        todo = [one for one in callbacks if type(one).__name__ in self.left] or (callbacks if at_end else [])
        if not todo:
            return
        stage.measured |= self.measured
        self.left, self.measured = [], {}
        for callback in todo:
            if at_end:
                callback.on_train_end(trainer, stage)
            else:
                callback.on_train_batch_end(trainer, stage, None, None, 0)
        checkpoint_of(trainer).keep(trainer, stage)  # without the note

    def note(self, trainer: pl.Trainer, stage: Any, interrupted: Interrupted) -> None:
        """Remember for the checkpoint what is left to do at this image count."""
        callbacks = _after_step(trainer)
        self.left = [type(one).__name__ for one in callbacks[callbacks.index(interrupted.callback) :]]
        self.measured = dict(stage.measured)

    def state_dict(self) -> dict[str, Any]:
        return {"left": self.left, "measured": self.measured} if self.left else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.left, self.measured = list(state_dict["left"]), dict(state_dict["measured"])


def _after_step(trainer: pl.Trainer) -> list[AfterStep]:
    return [one for one in trainer.callbacks if isinstance(one, AfterStep)]  # type: ignore[attr-defined]


def checkpoint_of(trainer: pl.Trainer) -> CheckpointCallback:
    """The callback that writes checkpoints."""
    return next(one for one in _after_step(trainer) if isinstance(one, CheckpointCallback))
