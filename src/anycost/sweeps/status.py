"""What became of the jobs of a sweep, one row each.

Imports nothing heavy and asks squeue once, so that the rows of 200 jobs are there within a second.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anycost.errors import UserError
from anycost.sweeps.evidence import gather
from anycost.sweeps.progress import Progress, read_progress
from anycost.sweeps.record import SWEEP_FILE, Job, Sweep, read_sweep
from anycost.sweeps.states import ACTIVE, DIED, FAILED, RUNNING, STATES, Evidence, State, judge


@dataclass(frozen=True)
class JobStatus:
    """One row: the job as sweep.json has it, `name` that tells it from the others, and what became of it."""

    job: Job
    name: str
    folder: Path
    progress: Progress
    evidence: Evidence
    state: State

    @property
    def active(self) -> bool:
        return self.state.name in ACTIVE

    @property
    def restarts(self) -> int:
        return max(len(self.evidence.attempts) - 1, 0)

    @property
    def slurm_job(self) -> str:
        """Its id in SLURM, `12_3`: in the queue, else that of its last attempt; empty where it had none."""
        queued, last = self.evidence.queued, self.evidence.last
        return queued.id if queued is not None and queued.active else last.slurm_job if last is not None else ""

    @property
    def where(self) -> str:
        """Nodes or host that it runs on, or ran on last."""
        queued, last = self.evidence.queued, self.evidence.last
        if self.state.name == RUNNING and queued is not None and queued.nodes:
            return queued.nodes
        return last.nodes or last.host if last is not None else ""

    @property
    def error(self) -> str:
        """Of a job that failed or died, in one line: what it said itself, SLURM's word, else the end of its log."""
        if self.state.name not in (FAILED, DIED):
            return ""
        if self.state.detail or not self.evidence.log:
            return self.state.detail or "it left no word"
        return f"its last words: {self.evidence.log}"

    def to_json(self) -> dict[str, Any]:
        """The row for programs; `best` is null before the first measurement."""
        best = self.progress.best
        return {
            "index": self.job.index, "name": self.name, "row": self.job.row, "seed": self.job.seed,
            "overrides": list(self.job.overrides), "after": list(self.job.after), "folder": str(self.folder),
            "state": self.state.name, "detail": self.state.detail, "stage": self.progress.stage,
            "images": self.progress.images, "kimg": self.progress.images / 1000,
            "total_kimg": self.progress.total_kimg,
            "best": best and {"name": best.name, "value": best.value, "kimg": best.images / 1000},
            "restarts": self.restarts, "where": self.where, "slurm_job": self.slurm_job, "error": self.error,
            "wandb": self.progress.wandb,
        }  # fmt: skip


@dataclass(frozen=True)
class SweepStatus:
    """All jobs of a folder, in whose parent `sweep.folder` one run alone lies.

    Args:
        recorded: whether the folder has a sweep.json: without one, only runs that have begun are known.
        silence: why SLURM does not answer, in one line; empty where it does, or had no part.
    """

    folder: Path
    sweep: Sweep
    jobs: Sequence[JobStatus]
    recorded: bool
    silence: str

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs are in each state that there is one in."""
        found = Counter(job.state.name for job in self.jobs)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def active(self) -> bool:
        """Whether anything will still change by itself."""
        return any(job.active for job in self.jobs)

    def to_json(self) -> dict[str, Any]:
        notes = [self.silence] if self.silence else []
        jobs = [job.to_json() for job in self.jobs]
        return {"sweep": str(self.folder), "counts": self.counts, "notes": notes, "jobs": jobs}


def sweep_status(folder: Path) -> SweepStatus:
    """The present state of every job of the sweep in `folder`; raises `UserError` where no run is to be found."""
    recorded = (folder / SWEEP_FILE).is_file()
    sweep = read_sweep(folder) if recorded else _runs_in(folder)
    progress = {job.index: read_progress(sweep.run_dir(job)) for job in sweep.jobs}
    evidence, silence = gather(sweep, progress)
    names = _names(sweep)
    jobs = [
        JobStatus(
            job=job,
            name=names[job.index],
            folder=sweep.run_dir(job),
            progress=progress[job.index],
            evidence=evidence[job.index],
            state=judge(evidence[job.index]),
        )
        for job in sweep.jobs
    ]
    return SweepStatus(folder, sweep, jobs, recorded, silence)


def _runs_in(folder: Path) -> Sweep:
    """The runs of a folder without a record: a multirun of Hydra's own launcher, or one run."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name the folder of a sweep: logs/train/multiruns/NAME")
    if _is_run(folder):
        return Sweep(folder.parent, [], [_job(0, folder)])
    runs = sorted(one for one in folder.iterdir() if one.is_dir() and _is_run(one))
    if not runs:
        raise UserError(f"{folder} has no {SWEEP_FILE} and no runs in it; name the folder of a sweep: "
                        "logs/train/multiruns/NAME")  # fmt: skip
    return Sweep(folder, [], [_job(index, run) for index, run in enumerate(runs)])


def _is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() or (folder / "run.json").is_file()


def _job(index: int, run: Path) -> Job:
    config = read_progress(run).config
    table, seed = config.get("table"), config.get("seed")
    row = table.get("row") if isinstance(table, Mapping) else None
    return Job(index, [], run.name, seed if isinstance(seed, int) else 0, row)


def _names(sweep: Sweep) -> dict[int, str]:
    """What tells the jobs apart: the row, and the overrides that not all of them have; the seed is told elsewhere.

    A row of several experiments (one for each width) is called by them.
    """
    overrides = [set(job.overrides) for job in sweep.jobs]
    common = set.intersection(*overrides) if len(overrides) > 1 else set()
    files = {(job.row, _experiment(job, common)) for job in sweep.jobs}
    several = {row for row, count in Counter(row for row, _ in files).items() if count > 1}
    return {job.index: " ".join(_told(job, common, job.row in several)) or job.folder for job in sweep.jobs}


def _experiment(job: Job, common: Iterable[str]) -> str | None:
    told = [text for text in job.overrides if text not in common and text.lstrip("+").startswith("experiments")]
    return told[0].partition("=")[2] if told else None


def _told(job: Job, common: Iterable[str], several: bool) -> Iterator[str]:
    if job.row:
        yield (_experiment(job, common) if several else None) or job.row
    for override in job.overrides:
        key = override.partition("=")[0].lstrip("+")
        if override not in common and key != "seed" and not (job.row and key.startswith("experiments")):
            yield override
