"""From the configuration to loggers, and what they do when a run is continued."""

from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning.loggers import Logger

from anycost.configuration.schema import LoggerConfig
from anycost.loggers.metrics_csv import MetricsCsvLogger
from anycost.loggers.table import read_rows
from anycost.runs import RunDir


def build_loggers(
    config: LoggerConfig, run: RunDir, stage: str, group: str, resolved: Mapping[str, Any],
    name: str | None = None, tags: Sequence[str] = (),
) -> list[Logger]:  # fmt: skip
    """The loggers that `config` asks for, writing into the folder of `run`.

    `group` is used where the configuration names none; `stage` is the job type of W&B; `resolved` is the whole
    configuration as plain values. `name` is what W&B shows (the run folder's by default), `tags` join the configured.
    """
    loggers: list[Logger] = []
    if config.csv:
        loggers.append(MetricsCsvLogger(run.path))
    if config.wandb:
        from anycost.loggers.wandb import ImagesWandbLogger, WandbRun

        described = WandbRun(
            id=run.identity,
            project=config.project,
            folder=run.path,
            entity=config.entity,
            group=config.group or group,
            job_type=stage,
            tags=list(dict.fromkeys([*config.tags, *tags])),
            config=resolved,
            name=name,
        )
        loggers.append(ImagesWandbLogger(described, config.wandb_mode))
    if config.tensorboard:
        from anycost.loggers.tensorboard import ImagesTensorBoardLogger

        loggers.append(ImagesTensorBoardLogger(run.path))
    return loggers


def continue_from(loggers: Sequence[Logger], run: RunDir, images: int) -> None:
    """Bring all loggers to the checkpoint of `images` (0: there is none), before anything is logged.

    metrics.csv and TensorBoard drop what lies beyond it; W&B gets the last rows again.
    """
    csv = MetricsCsvLogger(run.path)
    if csv.path.is_file():
        csv.truncate(images)
    for logger in loggers:
        if hasattr(logger, "purge"):
            logger.purge(images)
        if hasattr(logger, "replay"):
            logger.replay(read_rows(csv.path))
