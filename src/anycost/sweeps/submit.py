"""What is left to do of a sweep, and how SLURM gets it: arrays of jobs, in the order of what they start from."""

import socket
from collections.abc import Collection, Sequence
from dataclasses import replace

from anycost.configuration.convert import load_config
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import PIPELINE, PipelineConfig
from anycost.errors import UserError
from anycost.files import atomic_write
from anycost.runs import RunDir
from anycost.stages.clock import whole_batches
from anycost.sweeps import slurm
from anycost.sweeps.record import Job, Submission, Sweep, append_submission, now, read_submissions
from anycost.sweeps.script import LOGS, batch_script


def is_finished(sweep: Sweep, job: Job) -> bool:
    """Whether the job's run holds all that its configuration would train."""
    folder = RunDir(sweep.run_dir(job))
    try:
        config = load_config(folder.config)
    except FileNotFoundError:
        return False
    stages = {folder: config.stage}
    if isinstance(config.stage, PipelineConfig):
        stages = {RunDir(folder.path / name): getattr(config.stage, name) for name in PIPELINE}
    return all(run.holds(whole_batches(stage.kimg, config.data.batch_size)) for run, stage in stages.items())


def in_slurm_queue(sweep: Sweep) -> dict[int, str]:
    """Index of every job that waits or runs in SLURM's queue -> the id of its array task.

    Jobs of another name are not this sweep's: a cluster that was set up anew counts from one again.
    """
    submitted = [(index, slurm.task_id(entry.id, index)) for entry in read_submissions(sweep.folder)
                 if entry.executor == "slurm" for index in entry.indices]
    if not submitted:
        return {}
    known = slurm.queue({task.partition("_")[0] for _, task in submitted})
    return {index: task for index, task in submitted
            if task in known and known[task].active and known[task].name == sweep.name}


def to_hand_out(sweep: Sweep, jobs: Sequence[Job], queued: dict[int, str]) -> list[Job]:
    """Those of `jobs` that are neither finished nor in the queue."""
    return [job for job in jobs if job.index not in queued and not is_finished(sweep, job)]


def submit_to_slurm(sweep: Sweep, jobs: Sequence[Job], queued: dict[int, str]) -> list[Submission]:
    """Submit `jobs` as one array per set of resources and of jobs they wait for; each run folder has its config.yaml.

    Jobs that others start from come first, and these wait for them (`afterok`). sbatch is asked beforehand whether it
    would take every script: one that is refused, or would wait for ever, is an error before anything is submitted.
    """
    configs = {job.index: load_config(RunDir(sweep.run_dir(job)).config) for job in jobs}
    for job in jobs:
        origins_left(sweep, job, [*queued, *configs])
    for members, _ in _arrays(sweep, [(job, []) for job in jobs], configs):
        slurm.test(batch_script(sweep, members, configs[members[0].index]))
    done, left, tasks = [], list(jobs), dict(queued)
    (sweep.folder / LOGS).mkdir(parents=True, exist_ok=True)
    while left:
        for members, after in _ready(sweep, left, configs, tasks):
            script = batch_script(sweep, members, configs[members[0].index], after)
            array = slurm.submit(script)
            entry = Submission(now(), "slurm", array, socket.gethostname(), [job.index for job in members])
            append_submission(sweep.folder, entry)
            with atomic_write(sweep.folder / LOGS / f"{array}.sh", "w") as file:
                file.write(script)
            done.append(entry)
            tasks |= {job.index: slurm.task_id(array, job.index) for job in members}
            left = [job for job in left if job not in members]
    return done


def _ready(
    sweep: Sweep, left: Sequence[Job], configs: dict[int, TrainConfig], tasks: dict[int, str]
) -> list[tuple[list[Job], list[str]]]:
    """The arrays that can be submitted now, with the ids of the tasks that they wait for."""
    waiting = {job.index for job in left}
    ready = [job for job in left if not waiting.intersection(job.after)]
    after = [[tasks[index] for index in origins_left(sweep, job, tasks)] for job in ready]
    return _arrays(sweep, list(zip(ready, after, strict=True)), configs)


def _arrays(
    sweep: Sweep, jobs: Sequence[tuple[Job, list[str]]], configs: dict[int, TrainConfig]
) -> list[tuple[list[Job], list[str]]]:
    """Jobs, with the ids that each waits for, gathered by what the cluster is asked for."""
    arrays: dict[str, tuple[list[Job], list[str]]] = {}
    for job, after in jobs:
        alike = batch_script(sweep, [replace(job, index=0)], configs[job.index], after)
        arrays.setdefault(alike, ([], after))[0].append(job)
    return list(arrays.values())


def origins_left(sweep: Sweep, job: Job, known: Collection[int]) -> list[int]:
    """The jobs that `job` waits for and that are not finished; `UserError` where one of them is not in `known`."""
    left = [index for index in job.after if not is_finished(sweep, sweep.job(index))]
    if missing := [index for index in left if index not in known]:
        raise UserError(f"job {job.index} starts from the weights of job {missing[0]}, which is neither finished nor "
                        "in the queue; hand it out too")
    return left

