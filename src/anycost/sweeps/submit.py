"""What is left to do of a sweep, and how SLURM gets it: arrays of jobs, in the order of what they start from."""

import logging
import shlex
import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from anycost import signals
from anycost.attempts import Attempt, read_attempts
from anycost.configuration.convert import load_config
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import PIPELINE, PipelineConfig
from anycost.errors import UserError
from anycost.files import atomic_write
from anycost.runs import RunDir
from anycost.stages.clock import whole_batches
from anycost.sweeps import slurm
from anycost.sweeps.record import Job, Submission, Sweep, append_submission, now, read_submissions, spans_of
from anycost.sweeps.script import LOGS, PREPARED, batch_script
from anycost.sweeps.unrecorded import unrecorded

log = logging.getLogger(__name__)


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
    """Index of every job that waits or runs in SLURM's queue -> the id of its task, also of one submitted by hand.

    Jobs of another name are not this sweep's: a cluster that was set up anew counts from one again.
    """
    submitted = {slurm.task_id(entry.id, index): index for entry in read_submissions(sweep.folder)
                 if entry.executor == "slurm" for index in entry.indices}
    by_hand = {last.slurm_job: job.index for job in sweep.jobs if (last := _unended(sweep, job)) and last.slurm_job}
    if not (submitted or by_hand):
        return {}
    known = slurm.queue({task.partition("_")[0] for task in (*submitted, *by_hand)})
    active = {task for task, entry in known.items() if entry.active}
    named = {task for task in active.intersection(submitted) if known[task].name == sweep.name}
    return {index: task for task, index in by_hand.items() if task in active - set(submitted)} | {
        submitted[task]: task for task in named
    }


def _unended(sweep: Sweep, job: Job) -> Attempt | None:
    """The last attempt of a job where it is at work or queued again, as far as its file knows."""
    attempts = read_attempts(sweep.run_dir(job))
    return attempts[-1] if attempts and (not attempts[-1].ended or attempts[-1].state == "requeued") else None


def adopt_unrecorded(sweep: Sweep) -> None:
    """Record tasks of this sweep that are in the queue and in none of its records."""
    for entry in unrecorded(sweep, read_submissions(sweep.folder)):
        append_submission(sweep.folder, entry)
        log.info("job %s: in the queue already, as %s", spans_of(entry.indices), entry.id)


def to_hand_out(sweep: Sweep, jobs: Sequence[Job], queued: dict[int, str]) -> list[Job]:
    """Those of `jobs` that are neither finished nor in the queue."""
    return [job for job in jobs if job.index not in queued and not is_finished(sweep, job)]


def submit_to_slurm(sweep: Sweep, jobs: Sequence[Job], queued: dict[int, str]) -> Iterator[Submission]:
    """Submit `jobs` as one array per set of resources and of jobs they wait for; each run folder has its config.yaml.

    Jobs that others start from come first, and these wait for them (`afterok`). `check_scripts` comes before.
    """
    configs, tasks = _configs(sweep, jobs, queued), dict(queued)
    (sweep.folder / LOGS).mkdir(parents=True, exist_ok=True)
    for members, after in _in_order(sweep, jobs, configs, tasks):
        if number := signals.received():
            signals.Stopped(number).leave()
        script = batch_script(sweep, members, configs[members[0].index], after)
        array = slurm.submit(script)
        entry = Submission(now(), "slurm", array, socket.gethostname(), [job.index for job in members])
        append_submission(sweep.folder, entry)
        with atomic_write(sweep.folder / LOGS / f"{array}.sh", "w") as file:
            file.write(script)
        tasks |= {job.index: slurm.task_id(array, job.index) for job in members}
        yield entry


def prepare_for_slurm(sweep: Sweep, jobs: Sequence[Job], queued: dict[int, str]) -> list[str]:
    """Write the batch scripts of `jobs` and submit none; the lines of shell that would, in their order."""
    configs, tasks, lines = _configs(sweep, jobs, queued), dict(queued), []
    for number, (members, after) in enumerate(_in_order(sweep, jobs, configs, tasks)):
        file = sweep.folder / LOGS / f"{PREPARED}{number}.sh"
        with atomic_write(file, "w") as script:
            script.write(batch_script(sweep, members, configs[members[0].index]))
        waits = f"--dependency=afterok:{':'.join(after)} --kill-on-invalid-dep=yes " if after else ""
        lines.append(f"a{number}=$(sbatch --parsable {waits}{shlex.quote(str(file))})")
        tasks |= {job.index: slurm.task_id(f"${{a{number}}}", job.index) for job in members}
    return lines


def check_scripts(sweep: Sweep, jobs: Sequence[Job], configs: dict[int, TrainConfig]) -> None:
    """`SlurmError` where sbatch would refuse one of the arrays that `jobs` become with these configurations.

    Asked before anything is written or submitted, so that all is done or nothing.
    """
    for members, _ in _arrays(sweep, [(job, []) for job in jobs], configs):
        config = configs[members[0].index]
        try:
            slurm.test(batch_script(sweep, members, config))
        except slurm.SlurmError as error:
            indices = spans_of([job.index for job in members])
            raise slurm.SlurmError(f"{error}\nthis is what job {indices} asked for: {_asked(config)}") from error


def _asked(config: TrainConfig) -> str:
    """What decides whether a cluster has a place for a job, by the keys that change it."""
    cluster, trainer = config.cluster, config.trainer
    asked = {
        "trainer.num_nodes": trainer.num_nodes, "trainer.devices": trainer.devices,
        "cluster.cpus_per_task": cluster.cpus_per_task, "cluster.mem_gb": cluster.mem_gb,
        "cluster.minutes": cluster.minutes, "cluster.partition": cluster.partition,
        "cluster.constraint": cluster.constraint,
    }  # fmt: skip
    return " ".join(f"{key}={value}" for key, value in asked.items() if value is not None)


def _configs(sweep: Sweep, jobs: Sequence[Job], queued: dict[int, str]) -> dict[int, TrainConfig]:
    configs = {job.index: load_config(RunDir(sweep.run_dir(job)).config) for job in jobs}
    for job in jobs:
        origins_left(sweep, job, [*queued, *configs])
    return configs


def _in_order(
    sweep: Sweep, jobs: Sequence[Job], configs: dict[int, TrainConfig], tasks: dict[int, str]
) -> Iterator[tuple[list[Job], list[str]]]:
    """Arrays of `jobs`, and the ids of the tasks that each waits for; `tasks` gets those of an array from the caller
    before the next is asked for."""
    left = list(jobs)
    while left:
        for members, after in _ready(sweep, left, configs, tasks):
            yield members, after
            left = [job for job in left if job not in members]


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

