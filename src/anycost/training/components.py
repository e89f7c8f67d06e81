"""Callbacks and loggers of a stage, in the order in which they act."""

from dataclasses import asdict, replace
from pathlib import Path

import pytorch_lightning as pl

from anycost.callbacks.checkpoint import CheckpointCallback
from anycost.callbacks.dashboard import DashboardCallback
from anycost.callbacks.ema import EmaCallback
from anycost.callbacks.ending import EndCallback
from anycost.callbacks.grid import GridCallback
from anycost.callbacks.metrics import MetricsCallback
from anycost.callbacks.progress import ProgressCallback
from anycost.callbacks.search import SearchCallback
from anycost.callbacks.throughput import ThroughputCallback
from anycost.callbacks.values import ValuesCallback
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import AdaChConfig
from anycost.loggers.building import build_loggers, continue_from
from anycost.runs import RunDir, RunRecord
from anycost.stages.base import AdversarialStage
from anycost.stages.stage import Stage


def build_callbacks(config: TrainConfig, stage: Stage, run: RunDir, record: RunRecord) -> list[pl.Callback]:
    """Speed first; averaging before grids and metrics, which show it; checkpoints after all that they record."""
    options = config.callbacks
    tenth = stage.total_images / 10_000
    callbacks: list[pl.Callback] = [ThroughputCallback(options.log_every_kimg)] if options.throughput else []
    if isinstance(stage, AdversarialStage) and options.ema.enabled:
        callbacks.append(EmaCallback(stage.options.ema_kimg))
    callbacks.append(ValuesCallback(options.log_every_kimg))
    if isinstance(stage, AdversarialStage):
        callbacks += _pictures_and_metrics(config, stage, run, tenth)
    callbacks.append(CheckpointCallback(options.checkpoint, run, record, options.checkpoint.every_kimg or tenth))
    if options.progress != "none":
        callbacks.append(ProgressCallback(options.progress))
    return [*callbacks, EndCallback()]


def _pictures_and_metrics(
    config: TrainConfig, stage: AdversarialStage, run: RunDir, default_kimg: float
) -> list[pl.Callback]:
    grid, metrics = config.callbacks.grid, config.metrics
    if grid.architectures == ["auto"]:
        grid = replace(grid, architectures=stage.shown_architectures())
    if metrics.architectures == ["auto"]:
        metrics = replace(metrics, architectures=stage.shown_architectures())
    for text in (*grid.architectures, *metrics.architectures):
        stage.space.parse_all(text)  # what is not understood is an error now, not after hours
    every = default_kimg if grid.every_kimg is None else grid.every_kimg
    callbacks: list[pl.Callback] = [GridCallback(grid, run.grids, every)]
    if metrics.names:
        callbacks.append(MetricsCallback(metrics, run.path / "metrics.jsonl", Path(config.paths.cache)))
    callbacks += _search(config, stage, run)
    return [*callbacks, DashboardCallback(run.path / "metrics.jsonl", metrics.architectures)]


def _search(config: TrainConfig, stage: AdversarialStage, run: RunDir) -> list[pl.Callback]:
    """By default at the end, where the network that judges is at hand because consistency is measured with it."""
    options, trained = config.callbacks.search, stage.options
    measured = any("consistency" in name for name in config.metrics.names)
    wanted = measured if options.every_kimg is None else options.every_kimg > 0
    if not wanted or not isinstance(trained, AdaChConfig):
        return []
    return [SearchCallback(options, run.path / "search", trained.mode, config.metrics.perceptual)]


def prepared_loggers(config: TrainConfig, run: RunDir, images: int) -> list[pl.loggers.Logger]:
    """The loggers of `config.logger`, brought to the checkpoint at `images` (0: there is none)."""
    row, seed = [config.table.row] if config.table.row else [], f"seed{config.seed}"
    loggers = build_loggers(
        config.logger, run, config.stage.name, _group(config, run), asdict(config),
        name="-".join([config.stage.name, config.data.name, *row, f"s{config.seed}"]), tags=[*row, seed],
    )  # fmt: skip
    continue_from(loggers, run, images)
    return loggers


def _group(config: TrainConfig, run: RunDir) -> str:
    """Runs that a dashboard shows together: those of a multirun, else of a data set."""
    _, inside, rest = run.path.as_posix().rpartition("/multiruns/")
    return rest.partition("/")[0] if inside else config.data.name
