"""What a launcher does with a multirun: compose and check every job, record the sweep, hand it out."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, OmegaConf

from anycost.configuration.cluster_checks import check_cluster, check_job, uses_gpus
from anycost.configuration.convert import load_config, save_config, to_train_config
from anycost.configuration.explain import explain
from anycost.configuration.lineage import dependencies, rows_meant
from anycost.configuration.schema import TrainConfig
from anycost.data.location import picture_path
from anycost.errors import UserError
from anycost.runs import RunDir
from anycost.sweeps import slurm
from anycost.sweeps.dispatch import hand_out, owned, prepare
from anycost.sweeps.local import fair_threads
from anycost.sweeps.record import SWEEP_FILE, Job, Sweep, read_sweep, telling, write_sweep
from anycost.sweeps.submit import adopt_unrecorded, check_scripts, in_slurm_queue

log = logging.getLogger(__name__)


@dataclass
class Composed:
    """A job as its row of the command gives it."""

    overrides: list[str]
    config: TrainConfig
    folder: Path


def launch(loader: ConfigLoader, hydra_config: DictConfig, rows: Sequence[Sequence[str]], executor: str) -> None:
    """Check all jobs, then hand out those that are neither finished nor in the queue; wait unless detached.

    `executor` is `slurm` or `local`. Raises `UserError` for wrong rows, all of them in one message, with nothing
    submitted, and for jobs that failed.
    """
    with _nothing_left_behind(Path(OmegaConf.select(hydra_config, "hydra.sweep.dir"))):
        if executor == "slurm":
            slurm.require_slurm()
        composed = compose_all(loader, hydra_config, rows, executor)
        sweep, indices = record_sweep(composed, executor)
    options = composed[0].config.cluster
    jobs = [sweep.job(index) for index in indices]
    if options.prepare_only:
        prepare(sweep, jobs, executor)
    else:
        hand_out(sweep, jobs, executor, options.detach)


@contextmanager
def _nothing_left_behind(folder: Path) -> Iterator[None]:
    """Remove the sweep's folder, which Hydra has made, where the block fails and no sweep is in it."""
    try:
        yield
    except UserError:
        left = list(folder.glob("*"))
        if left and {path.name for path in left} <= {"multirun.yaml", ".lock"}:
            for path in left:
                path.unlink(missing_ok=True)
            folder.rmdir()
        raise


def compose_all(
    loader: ConfigLoader, hydra_config: DictConfig, rows: Sequence[Sequence[str]], executor: str
) -> list[Composed]:
    """The jobs of the overrides `rows`, each checked by itself; `UserError` that lists all wrong ones."""
    jobs, wrong = [], []
    for number, overrides in enumerate(rows):
        try:
            jobs.append(_compose(loader, hydra_config, overrides, executor, len(rows)))
        except Exception as error:
            explained = explain(error)
            if explained is None:
                raise
            wrong.append(f"  {f'#{number} {telling(overrides, rows)}'.rstrip()}: {explained}")
    if wrong:
        first = f"{len(wrong)} of {len(rows)} jobs cannot be started, nothing was submitted:"
        raise UserError("\n".join([first, *wrong]))
    _check_folders(jobs)
    _warn_of_absent_data(jobs)
    return jobs


def _compose(
    loader: ConfigLoader, hydra_config: DictConfig, overrides: Sequence[str], executor: str, jobs: int
) -> Composed:
    composed = loader.load_sweep_config(hydra_config, list(overrides))
    config = to_train_config(composed)
    check_job(config)
    if executor == "slurm":
        check_cluster(config)
        if uses_gpus(config):  # a node whose GPU does not answer is an error, no slow training
            config.trainer.accelerator = "gpu"
    if executor == "local" or config.data.path is None:
        picture_path(config.data)
    if config.trainer.threads is None:  # the same in every attempt, for the sake of exactness
        config.trainer.threads = config.cluster.cpus_per_task if executor == "slurm" else fair_threads(config, jobs)
    folder = Path(OmegaConf.select(composed, "hydra.sweep.dir")) / OmegaConf.select(composed, "hydra.sweep.subdir")
    return Composed(list(filter_overrides(overrides)), config, folder)


def _warn_of_absent_data(jobs: Sequence[Composed]) -> None:
    """Nodes of a cluster may see what this machine does not, so absent pictures are no error; once for each path."""
    absent: dict[str, None] = {}
    for job in jobs:
        try:
            picture_path(job.config.data)
        except UserError as error:
            absent.setdefault(str(error))
    for message in absent:
        log.warning("this machine does not see the data: %s\njobs fail at their start unless their nodes see them",
                    message)


def _check_folders(jobs: Sequence[Composed]) -> None:
    """Every job has a folder of its own, in one folder of the sweep."""
    owner: dict[Path, int] = {}
    for number, job in enumerate(jobs):
        if (other := owner.setdefault(job.folder, number)) != number:
            raise UserError(f"the jobs #{other} and #{number} are the same run, {job.folder.name}; leave one of them "
                            "out")
    if len({folder.parent for folder in owner}) > 1:
        raise UserError("the jobs of a sweep lie in one folder; do not vary paths.logs")


def record_sweep(composed: Sequence[Composed], executor: str) -> tuple[Sweep, list[int]]:
    """Write sweep.json and the config.yaml of every run that is not at work; the sweep, and the indices of `composed`.

    Jobs that the folder knows already keep their indices, since the queue knows them by these.
    """
    folder = composed[0].folder.parent
    with owned(folder):
        before = read_sweep(folder).jobs if (folder / SWEEP_FILE).exists() else []
        jobs, indices = _numbered(composed, before)
        sweep = Sweep(folder, _command(), jobs, cwd=str(Path.cwd()))
        if executor == "slurm":  # what sbatch refuses leaves no sweep
            configs = {index: job.config for job, index in zip(composed, indices, strict=True)}
            check_scripts(sweep, [sweep.job(index) for index in indices], configs)
        write_sweep(sweep)
        if executor == "slurm":
            adopt_unrecorded(sweep)
        queued = in_slurm_queue(sweep)
        for job, index in zip(composed, indices, strict=True):
            if index not in queued:
                save_config(job.config, job.folder / "config.yaml")
    return sweep, indices


def _numbered(composed: Sequence[Composed], before: Sequence[Job]) -> tuple[list[Job], list[int]]:
    """All jobs of the sweep in the order of their indices, and the indices of `composed`."""
    index_of = {job.folder: job.index for job in before}
    for job in composed:
        index_of.setdefault(job.folder.name, max(index_of.values(), default=-1) + 1)
    others = _others(composed, before)
    runs = [(job.config, job.folder) for job in composed] + others
    _check_rows(composed, runs)
    names = [folder.name for _, folder in runs]
    origins = dependencies(runs)
    jobs = {job.index: job for job in before}
    for job, after in zip(composed, origins, strict=False):
        index, config = index_of[job.folder.name], job.config
        waits = sorted(index_of[names[position]] for position in after)
        _check_whole([runs[position] for position in after])
        jobs[index] = Job(index, job.overrides, job.folder.name, config.seed, config.table.row, waits)
    return [jobs[index] for index in sorted(jobs)], [index_of[job.folder.name] for job in composed]


def _check_whole(origins: Sequence[tuple[TrainConfig, Path]]) -> None:
    """A run that a clock ends may leave less than it was to train, and whatever starts from it would not know."""
    for config, folder in origins:
        record = RunDir(folder).read_record()
        if config.trainer.max_minutes is not None and not (record and record.state == "finished"):
            raise UserError(f"trainer.max_minutes={config.trainer.max_minutes:g} may end {folder.name} before it is "
                            "finished, and other jobs start from it; leave it out, or shorten stage.kimg")


def _others(composed: Sequence[Composed], before: Sequence[Job]) -> list[tuple[TrainConfig, Path]]:
    """The sweep's other runs, of earlier commands: this one's may start from them."""
    own = {job.folder.name for job in composed}
    files = [composed[0].folder.parent / job.folder / "config.yaml" for job in before if job.folder not in own]
    return [(load_config(file), file.parent) for file in files if file.exists()]


def _check_rows(composed: Sequence[Composed], runs: Sequence[tuple[TrainConfig, Path]]) -> None:
    for job in composed:
        for named, count in rows_meant(job.config, runs).items():
            if count == 0:
                raise UserError(f"{named}: the sweep has no such row with seed={job.config.seed}; start the whole "
                                "table, or name a run folder")
            if count > 1:
                raise UserError(f"{named}: {count} runs of the sweep are this row with seed={job.config.seed}, so it "
                                "does not say which; take a sweep for each value that is varied beside the seed "
                                "(another run=NAME where the table has changed), or name a run folder")


def _command() -> list[str]:
    """The command line, without what was added to it for Hydra."""
    return ["anycost", "train", *(word for word in sys.argv[1:] if not word.startswith("hydra.sweep."))]
