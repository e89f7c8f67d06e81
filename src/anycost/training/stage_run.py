"""One stage of a run: build, restore or initialise, fit, write the results."""

import logging

import pytorch_lightning as pl

from anycost import checkpoints
from anycost.callbacks.stopping import StopCallback
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import (
    AdaChConfig,
    AttributesConfig,
    DistillConfig,
    MsgGanConfig,
    MultiresConfig,
    PruneConfig,
    Stylegan2Config,
)
from anycost.errors import UserError
from anycost.interchange.weights import write_weights
from anycost.runs import RunDir, RunRecord
from anycost.signals import Stopped
from anycost.stages.ada_ch import AdaChStage
from anycost.stages.attributes import AttributesStage
from anycost.stages.distill import DistillStage
from anycost.stages.msg_gan import MsgGanStage
from anycost.stages.multires import MultiresStage
from anycost.stages.phases import Diverged
from anycost.stages.prune import PruneStage
from anycost.stages.stage import Stage, stage_length
from anycost.stages.stylegan2 import Stylegan2Stage
from anycost.training.beginning import begin
from anycost.training.components import build_callbacks, prepared_loggers
from anycost.training.devices import set_threads, uses_gpu
from anycost.training.distributed import build_strategy, cluster_environments, process_rank, wait_for_all
from anycost.training.precision import resolve_precision
from anycost.training.quiet import quiet_lightning

log = logging.getLogger(__name__)


def train_stage(config: TrainConfig, run: RunDir, deadline: float | None = None) -> None:
    """Train one stage in its folder until its length or the `deadline` (of `time.monotonic`) is reached.

    Raises `Stopped` where a signal ended it earlier; all is saved then.
    """
    record = run.read_record() or RunRecord(config.stage.name, config.data.name)
    if is_finished(config, run):
        log.info("%s is finished: %d images", run.path, record.images)
        return
    set_threads(config.trainer)
    stage = build_stage(config)
    data = stage.build_data()
    states = begin(config, stage, run)
    record.state, record.attempts = "running", record.attempts + 1
    if process_rank() == 0:
        run.remove_leftovers()
        run.write_record(record)
    callbacks = [*build_callbacks(config, stage, run, record), StopCallback(deadline)]
    for callback in callbacks:
        if type(callback).__name__ in states:
            callback.load_state_dict(states[type(callback).__name__])
    trainer = build_trainer(config, run, callbacks, prepared_loggers(config, run, stage.clock.images))
    stopped = _fit(trainer, stage, data, run)
    if process_rank() == 0:
        _finish(stage, run, record, stopped)
    wait_for_all()  # the next stage reads the weights
    if stopped:
        raise stopped


def is_finished(config: TrainConfig, run: RunDir) -> bool:
    """Whether `run` holds all that `config` would train."""
    return run.holds(stage_length(config))


def build_stage(config: TrainConfig) -> Stage:
    """The fresh LightningModule of `config.stage`."""
    options = config.stage
    if isinstance(options, AdaChConfig):
        return AdaChStage(config, rank=process_rank())
    if isinstance(options, MultiresConfig):
        return MultiresStage(config)
    if isinstance(options, Stylegan2Config):
        return Stylegan2Stage(config)
    if isinstance(options, MsgGanConfig):
        return MsgGanStage(config)
    if isinstance(options, DistillConfig):
        return DistillStage(config)
    if isinstance(options, PruneConfig):
        return PruneStage(config)
    if isinstance(options, AttributesConfig):
        return AttributesStage(config)
    raise UserError(f"stage={options.name} is not a stage that trains by itself")


def _fit(trainer: pl.Trainer, stage: Stage, data: pl.LightningDataModule, run: RunDir) -> Stopped | None:
    """Train to the end of the stage or until the deadline; a signal that came first is returned."""
    try:
        trainer.fit(stage, datamodule=data)
    except Stopped as stopped:
        return stopped
    except UserError as error:  # torch puts a traceback around one that comes from a loader process
        raise UserError(str(error).rpartition(f"{UserError.__name__}: ")[2].strip()) from error
    except Diverged as error:
        good = checkpoints.candidates(run.checkpoints)
        where = f"the last good checkpoint is {good[0]}" if good else "there is no checkpoint yet"
        raise UserError(f"training stopped: {error}; {where}") from error
    return None


def build_trainer(
    config: TrainConfig, run: RunDir, callbacks: list[pl.Callback], loggers: list[pl.loggers.Logger]
) -> pl.Trainer:
    """A Trainer that does no more than run the loop: one pass over the images that are left."""
    quiet_lightning()
    options, on_gpu = config.trainer, uses_gpu(config.trainer)
    trainer = pl.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy=build_strategy(options),
        plugins=[*cluster_environments()],
        precision=resolve_precision(options.precision, on_gpu),
        max_epochs=1,
        log_every_n_steps=1,
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
    # Its handler of SIGTERM broadcasts wherever the process stands, and skips the save; ours are there already.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def _finish(stage: Stage, run: RunDir, record: RunRecord, stopped: Stopped | None) -> None:
    """Write the weights and say in the record how the run ended; before its end, log why."""
    tensors, header = stage.results()
    write_weights(run.weights, tensors, header)
    record.images = stage.clock.images
    record.state = "finished" if record.images >= stage.total_images and not stopped else "stopped"
    run.write_record(record)
    if record.state == "stopped":
        why = stopped or "time is up, stopped"
        log.warning("%s at %d of %d images; the same command continues", why, record.images, stage.total_images)
