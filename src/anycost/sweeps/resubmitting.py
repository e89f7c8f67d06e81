"""Handing out again what did not end well, each job from its last checkpoint, with other settings if asked to."""

from collections.abc import Sequence
from dataclasses import replace

from anycost.configuration.cluster_checks import check_cluster, check_job
from anycost.configuration.convert import load_config, save_config
from anycost.configuration.schema import TrainConfig
from anycost.configuration.settings import with_settings
from anycost.errors import UserError
from anycost.files import lock_owner
from anycost.sweeps.dispatch import hand_out, owned
from anycost.sweeps.record import SWEEP_FILE, Job, read_submissions, write_sweep
from anycost.sweeps.states import DIED, FAILED, QUEUED, RESUMABLE, WAITING
from anycost.sweeps.status import JobStatus, SweepStatus
from anycost.sweeps.submit import check_scripts


def chosen(status: SweepStatus, named: Sequence[JobStatus] | None, failed: bool) -> list[JobStatus]:
    """The jobs to hand out: of those `named` (None: of all) what failed, died, stopped or is missing.

    `failed` leaves out what stopped or is missing. Raises `UserError` where one that is named runs, waits or is
    finished, and where SLURM does not say what runs.
    """
    if status.silence:
        raise UserError(f"{status.silence}; what runs is not known, so nothing was handed out")
    for job in named or ():
        if job.state.name not in RESUMABLE and not _abandoned(status, job):
            raise UserError(
                f"jobs: #{job.job.index} is {job.state.name}; resubmit takes what failed, died, stopped or is missing"
            )
    wanted = {FAILED, DIED} if failed else RESUMABLE
    return [job for job in (status.jobs if named is None else named)
            if job.state.name in wanted or (named and _abandoned(status, job))]


def _abandoned(status: SweepStatus, job: JobStatus) -> bool:
    """Whether it waits for a local launcher of another machine that does not hold the sweep's folder any more.

    Only where it is named: a file system without locks knows of no holder.
    """
    submission = job.evidence.submission
    waits = job.state.name in (QUEUED, WAITING) and submission is not None and submission.executor == "local"
    return waits and lock_owner(status.sweep.folder) is None


def executor_of(status: SweepStatus) -> str:
    """Where the sweep was handed out last: `slurm` or `local`."""
    submissions = [entry for entry in read_submissions(status.sweep.folder) if entry.indices]
    if not submissions:
        raise UserError(f"{status.sweep.folder} was never handed out; say where its jobs are to run: launcher=slurm or "
                        "launcher=local")  # fmt: skip
    return submissions[-1].executor


def what_happens(jobs: Sequence[JobStatus], executor: str) -> list[str]:
    """One line per job that is handed out."""
    return [
        f"#{job.job.index} {job.name}: {job.state.name}, {_start(job)} ({executor})"
        + (f"; {job.error}" if job.error else "")
        for job in jobs
    ]


def with_settings_of(
    jobs: Sequence[JobStatus], executor: str, settings: Sequence[str]
) -> list[tuple[JobStatus, TrainConfig]]:
    """The jobs with the configurations they will have; `UserError` where a setting does not fit one of them."""
    return [(job, _changed(job, executor, settings)) for job in jobs]


def resubmit(
    status: SweepStatus,
    jobs: Sequence[tuple[JobStatus, TrainConfig]],
    executor: str,
    settings: Sequence[str],
    detach: bool,
) -> None:
    """Hand out `jobs`; new `settings` are written into their config.yaml and into sweep.json."""
    sweep = status.sweep
    indices = [job.job.index for job, _ in jobs]
    if executor == "slurm":
        check_scripts(sweep, [job.job for job, _ in jobs], {job.job.index: config for job, config in jobs})
    if settings:
        with owned(sweep.folder):
            recorded = [_recorded(job, settings) if job.index in indices else job for job in sweep.jobs]
            sweep = replace(sweep, jobs=recorded)
            write_sweep(sweep)
            for job, config in jobs:
                save_config(config, job.folder / "config.yaml")
    hand_out(sweep, [sweep.job(index) for index in indices], executor, detach)


def _changed(job: JobStatus, executor: str, settings: Sequence[str]) -> TrainConfig:
    try:
        config = with_settings(load_config(job.folder / "config.yaml"), settings)
    except FileNotFoundError as error:
        raise UserError(f"{job.folder / 'config.yaml'} is missing; the command of the sweep writes it again: "
                        f"it stands in {job.folder.parent / SWEEP_FILE}") from error  # fmt: skip
    check_job(config)
    if executor == "slurm":
        check_cluster(config)
    return config


def _recorded(job: Job, settings: Sequence[str]) -> Job:
    keys = {setting.partition("=")[0] for setting in settings}
    kept = [override for override in job.overrides if override.partition("=")[0].lstrip("+") not in keys]
    return replace(job, overrides=[*kept, *settings])


def _start(job: JobStatus) -> str:
    """Where its checkpoints let it begin."""
    if not any(job.folder.glob("checkpoints/*.ckpt")) and not any(job.folder.glob("*/checkpoints/*.ckpt")):
        return "starts from the beginning"
    return f"continues from its last checkpoint, {job.progress.images / 1000:.1f} kimg were seen"
