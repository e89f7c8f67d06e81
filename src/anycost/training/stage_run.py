"""One stage of a run: build, restore or initialise, fit, write the results."""

import logging
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from anycost import checkpoints
from anycost.callbacks.deadline import DeadlineCallback
from anycost.configuration.schema import AdaChConfig, MultiresConfig, Stylegan2Config, TrainConfig, TrainerConfig
from anycost.errors import UserError
from anycost.interchange.weights import write_weights
from anycost.runs import RunDir, RunRecord
from anycost.stages.ada_ch import AdaChStage
from anycost.stages.multires import MultiresStage
from anycost.stages.phases import Diverged
from anycost.stages.stage import Stage
from anycost.stages.stylegan2 import Stylegan2Stage
from anycost.training.components import build_callbacks, prepared_loggers
from anycost.training.distributed import build_strategy, process_rank
from anycost.training.initialisation import initial_weights
from anycost.training.precision import resolve_precision

log = logging.getLogger(__name__)


def train_stage(config: TrainConfig, run: RunDir, deadline: float | None = None) -> None:
    """Train one stage in its folder until its length or the `deadline` (of `time.monotonic`) is reached."""
    stage = build_stage(config)
    record = run.read_record() or RunRecord(config.stage.name, config.data.name)
    if record.state == "finished" and record.images >= stage.total_images and run.weights.exists():
        log.info("%s is finished: %d images", run.path, record.images)
        return
    _set_threads(config.trainer)
    states = _prepare(config, stage, run)
    record.state, record.attempts = "running", record.attempts + 1
    if process_rank() == 0:
        run.write_record(record)
    stopped = _fit(config, stage, run, record, deadline, states)
    if process_rank() == 0:
        _finish(stage, run, record, "stopped" if stopped else "finished")


def build_stage(config: TrainConfig) -> Stage:
    """The fresh LightningModule of `config.stage`."""
    options = config.stage
    if isinstance(options, AdaChConfig):
        return AdaChStage(config, rank=process_rank())
    if isinstance(options, MultiresConfig):
        return MultiresStage(config)
    if isinstance(options, Stylegan2Config):
        return Stylegan2Stage(config)
    raise UserError(f"stage={options.name} is not a stage that trains by itself")


def _prepare(config: TrainConfig, stage: Stage, run: RunDir) -> dict[str, Any]:
    """Put the weights in: those of a checkpoint, else those of `init_from`. Returns the states of the callbacks."""
    content = _checkpoint(config, run)
    if content is not None:
        checkpoints.restore(stage, content)
        log.info("continuing %s at %d images", run.path, stage.clock.images)
        return content["callbacks"]
    found = initial_weights(config)
    if found is not None:
        tensors, file = found
        log.info("initialised from %s: %s", file, stage.initialise(tensors))
    return {}


def _checkpoint(config: TrainConfig, run: RunDir) -> dict[str, Any] | None:
    newest = checkpoints.read_newest(run.checkpoints)
    if newest is not None or config.resume in ("auto", "never"):
        return newest
    path = Path(config.resume).expanduser()
    if not path.exists():
        raise UserError(f"resume={path} does not exist; use auto, never, a checkpoint or a run folder")
    return checkpoints.read(path) if path.is_file() else checkpoints.read_newest(RunDir(path).checkpoints)


def _fit(
    config: TrainConfig,
    stage: Stage,
    run: RunDir,
    record: RunRecord,
    deadline: float | None,
    states: dict[str, Any],
) -> bool:
    """Train to the end of the stage; True where the deadline came first."""
    if stage.clock.images >= stage.total_images:
        return False
    data = stage.build_data()
    late = DeadlineCallback(deadline)
    callbacks = [*build_callbacks(config, stage, run, record), late]
    for callback in callbacks:
        if type(callback).__name__ in states:
            callback.load_state_dict(states[type(callback).__name__])
    trainer = build_trainer(config, run, callbacks, prepared_loggers(config, run, stage.clock.images))
    try:
        trainer.fit(stage, datamodule=data)
    except Diverged as error:
        good = checkpoints.candidates(run.checkpoints)
        where = f"the last good checkpoint is {good[0]}" if good else "there is no checkpoint yet"
        raise UserError(f"training stopped: {error}; {where}") from error
    return late.reached


def build_trainer(
    config: TrainConfig, run: RunDir, callbacks: list[pl.Callback], loggers: list[pl.loggers.Logger]
) -> pl.Trainer:
    """A Trainer that does no more than run the loop: one pass over the images that are left."""
    options = config.trainer
    on_gpu = options.accelerator == "gpu" or (options.accelerator == "auto" and torch.cuda.is_available())
    return pl.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy=build_strategy(options),
        precision=resolve_precision(options.precision, on_gpu),
        max_epochs=1,
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=run.path,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        profiler=None if options.profiler == "none" else options.profiler,
        use_distributed_sampler=False,
    )


def _set_threads(trainer: TrainerConfig) -> None:
    """The same number of threads in every attempt: float sums depend on it."""
    torch.set_num_threads(trainer.threads or max((os.cpu_count() or 1) // trainer.devices, 1))


def _finish(stage: Stage, run: RunDir, record: RunRecord, state: str) -> None:
    """Write the weights and say in the record how the run ended."""
    tensors, header = stage.results()
    write_weights(run.weights, tensors, header)
    record.state, record.images = state, stage.clock.images
    run.write_record(record)
    if state == "stopped":
        log.warning(
            "time is up: stopped at %d of %d images; the same command continues", record.images, stage.total_images
        )
