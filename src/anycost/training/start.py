"""Start or continue a run: the story of `anycost train`."""

import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from anycost import signals
from anycost.attempts import Attempts
from anycost.configuration.convert import load_config, save_config
from anycost.configuration.identity import changes, next_free_run_dir
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import PIPELINE, AdaChConfig, MultiresConfig, PipelineConfig, Stylegan2Config
from anycost.errors import UserError
from anycost.runs import RunDir
from anycost.training.devices import check_devices
from anycost.training.distributed import check_launcher, joined_processes, process_rank, started_elsewhere
from anycost.training.report import report
from anycost.training.requeue import end_stopped, restarted
from anycost.training.stage_run import is_finished, train_stage

log = logging.getLogger(__name__)

_LOCK_PATIENCE_SEC = 180.0
"""How long a job that SLURM started again waits for its folder: a server of files keeps the lock of a node that died
until its lease is over (NFS 4: 90 s)."""


@dataclass(frozen=True)
class Result:
    """Where a run's results lie: one entry per stage that was trained."""

    stages: dict[str, RunDir]

    @property
    def last(self) -> RunDir:
        return list(self.stages.values())[-1]


def run(config: TrainConfig, run_dir: Path) -> Result:
    """Train what `config` says in `run_dir`, continuing what is there; start further local processes if asked to.

    A signal (`signals.py`) stops it: what it has done is saved, a job of SLURM is queued again, and the program ends
    (`SystemExit`, `KeyboardInterrupt`) with the first process's status 128 + signal and 0 of the others.
    """
    with signals.remembered():
        try:
            result = _run(config, RunDir(run_dir))
        except signals.Stopped as stopped:
            if process_rank() == 0:
                stopped.leave()
            raise SystemExit(0) from stopped  # another status may end the first process before it is done
        signals.heed()
        return result


def _run(config: TrainConfig, folder: RunDir) -> Result:
    if process_rank() == 0 and config.schedule.name != "paper":
        log.info(
            "schedule=%s decides what the command line does not; schedule=paper is the paper's", config.schedule.name
        )
    check_launcher(config)
    with ExitStack() as stack:
        if process_rank() == 0:
            stack.enter_context(folder.owned(_LOCK_PATIENCE_SEC if restarted() else 0.0))
            if not _is_done(config, folder):
                stack.enter_context(_attempt(folder))
            _keep_config(config, folder)
        check_devices(config.trainer)
        _heed_alone(config)
        stack.enter_context(joined_processes(config, folder.config))
        if isinstance(config.stage, PipelineConfig):
            result = Result(_run_pipeline(config, config.stage, folder))
        else:
            minutes = config.trainer.max_minutes
            train_stage(config, folder, deadline=None if minutes is None else time.monotonic() + 60 * minutes)
            result = Result({config.stage.name: folder})
        if process_rank() == 0 and result.last.weights.exists():
            report(result.last)
        return result


def _is_done(config: TrainConfig, folder: RunDir) -> bool:
    """Whether nothing is left to train: such a start is no attempt, and changes nothing."""
    if not isinstance(config.stage, PipelineConfig):
        return is_finished(config, folder)
    stages = _stages(config.stage)
    return all(is_finished(replace(config, stage=stage), RunDir(folder.path / stage.name)) for stage in stages)


def _stages(pipeline: PipelineConfig) -> list[Stylegan2Config | MultiresConfig | AdaChConfig]:
    return [pipeline.stylegan2, pipeline.multires, pipeline.ada_ch]


@contextmanager
def _attempt(folder: RunDir) -> Iterator[None]:
    """Write down how this start of the run ends, and queue a job again that a signal stopped."""
    attempts = Attempts(folder.path, _progress(folder)[0])
    try:
        yield
    except signals.Stopped as stopped:
        end_stopped(stopped, attempts, _progress(folder)[0])
        raise
    except KeyboardInterrupt:  # a second one: nothing was saved
        attempts.end("stopped", _progress(folder)[0], "interrupted at once")
        raise
    except BaseException as error:
        attempts.end("failed", _progress(folder)[0], _words_of(error))
        raise
    images, finished = _progress(folder)
    attempts.end("finished" if finished else "stopped", images)


def _progress(folder: RunDir) -> tuple[int, bool]:
    """Images in the newest checkpoints of all stages of a run, and whether all that it began is finished."""
    places = [folder.path, *(folder.path / stage for stage in PIPELINE)]
    records = [record for place in places if (record := RunDir(place).read_record())]
    return sum(record.images for record in records), all(record.state == "finished" for record in records)


def _words_of(error: BaseException) -> str:
    """What a user is told of an error, without the traceback."""
    return str(error) if isinstance(error, UserError) else "".join(traceback.format_exception_only(error))


def _heed_alone(config: TrainConfig) -> None:
    """Raise `Stopped` where a signal has come; processes that others would wait for find out with them."""
    alone = config.trainer.devices * config.trainer.num_nodes == 1 or not started_elsewhere()
    if alone and (number := signals.received()):
        raise signals.Stopped(number)


def _keep_config(config: TrainConfig, folder: RunDir) -> None:
    """Write config.yaml; a run that is continued under its name with other settings says so."""
    if folder.config.exists() and (changed := changes(load_config(folder.config), config)):
        log.warning("continuing %s with other settings: %s", folder.path, "; ".join(changed))
    save_config(config, folder.config)


def _run_pipeline(config: TrainConfig, pipeline: PipelineConfig, folder: RunDir) -> dict[str, RunDir]:
    """The stages one after the other in folders of their own, each initialised from the one before.

    `trainer.max_minutes` is shared out by the stages' lengths.
    """
    stages = _stages(pipeline)
    minutes = config.trainer.max_minutes
    end = None if minutes is None else time.monotonic() + 60 * minutes
    done: dict[str, RunDir] = {}
    init_from = config.init_from if config.init_from != "auto" else "none"
    for position, stage in enumerate(stages):
        _heed_alone(config)
        own = RunDir(folder.path / stage.name)
        single = replace(config, stage=stage, init_from=init_from, resume=_resume(config, stage.name))
        if process_rank() == 0:
            save_config(single, own.config)
            if not is_finished(single, own):
                _set_aside(folder, [later.name for later in stages[position + 1 :]])
        share = stage.kimg / (sum(later.kimg for later in stages[position:]) or 1)
        train_stage(single, own, None if end is None else time.monotonic() + (end - time.monotonic()) * share)
        done[stage.name] = own
        init_from = str(own.weights)
    return done


def _resume(config: TrainConfig, stage: str) -> str:
    """`resume` of one stage: where a pipeline's folder is named, that stage's folder inside it, if it got so far."""
    if config.resume in ("auto", "never"):
        return config.resume
    path = Path(config.resume).expanduser()
    if not any((path / name / "checkpoints").is_dir() for name in PIPELINE):
        raise UserError(f"resume={path} is not the folder of a pipeline; use auto, never or such a folder")
    return str(path / stage) if (path / stage / "checkpoints").is_dir() else "auto"


def _set_aside(folder: RunDir, stages: Sequence[str]) -> None:
    """Rename the folders of stages that started from weights that are about to change: they start again."""
    for stage in stages:
        if RunDir(folder.path / stage).read_record() is not None:
            old = next_free_run_dir(folder.path / f"{stage}-before")
            (folder.path / stage).rename(old)
            log.warning("an earlier stage trains on, so %s will start again; its old folder is now %s", stage, old)
