"""Start or continue a run: the story of `anycost train`."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from anycost.configuration.convert import save_config
from anycost.configuration.schema import PipelineConfig, TrainConfig
from anycost.runs import RunDir
from anycost.training.distributed import local_processes, process_rank
from anycost.training.stage_run import train_stage


@dataclass(frozen=True)
class Result:
    """Where a run's results lie: one entry per stage that was trained."""

    stages: dict[str, RunDir]

    @property
    def last(self) -> RunDir:
        return list(self.stages.values())[-1]


def run(config: TrainConfig, run_dir: Path) -> Result:
    """Train what `config` says in `run_dir`, continuing what is there; start further local processes if asked to."""
    folder = RunDir(run_dir)
    if process_rank() == 0:
        save_config(config, folder.config)
    with local_processes(config.trainer, folder.config):
        if isinstance(config.stage, PipelineConfig):
            return Result(_run_pipeline(config, config.stage, folder))
        minutes = config.trainer.max_minutes
        train_stage(config, folder, deadline=time.monotonic() + 60 * minutes if minutes else None)
        return Result({config.stage.name: folder})


def _run_pipeline(config: TrainConfig, pipeline: PipelineConfig, folder: RunDir) -> dict[str, RunDir]:
    """The stages one after the other in folders of their own, each initialised from the one before.

    `trainer.max_minutes` is shared out by the stages' lengths.
    """
    stages = [pipeline.stylegan2, pipeline.multires, pipeline.ada_ch]
    end = time.monotonic() + 60 * config.trainer.max_minutes if config.trainer.max_minutes else None
    done: dict[str, RunDir] = {}
    init_from = config.init_from if config.init_from != "auto" else "none"
    for position, stage in enumerate(stages):
        own = RunDir(folder.path / stage.name)
        share = stage.kimg / sum(later.kimg for later in stages[position:])
        deadline = time.monotonic() + (end - time.monotonic()) * share if end else None
        single = replace(config, stage=stage, init_from=init_from)
        if process_rank() == 0:
            save_config(single, own.config)
        train_stage(single, own, deadline)
        done[stage.name] = own
        init_from = str(own.weights)
    return done
