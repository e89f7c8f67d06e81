"""The end of a run that was killed between its last step and its end."""

from typing import Any

import pytorch_lightning as pl

from anycost.callbacks.checkpoint import CheckpointCallback
from anycost.callbacks.dashboard import DashboardCallback
from anycost.callbacks.grid import GridCallback
from anycost.callbacks.metrics import MetricsCallback
from anycost.callbacks.search import SearchCallback

_MADE_UP_FOR = GridCallback | MetricsCallback | SearchCallback | DashboardCallback | CheckpointCallback


class EndCallback(pl.Callback):
    """Makes up for grid, measurements, search and checkpoint of the end where no image is left to train.

    Lightning starts no training then, and calls none of its hooks. Stands behind the callbacks that it calls.
    """

    def on_fit_start(self, trainer: pl.Trainer, stage: Any) -> None:
        if stage.clock.images < stage.total_images:
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, _MADE_UP_FOR):
                callback.on_train_end(trainer, stage)
