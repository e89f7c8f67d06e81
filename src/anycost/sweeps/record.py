"""What a multirun folder knows of its jobs (`sweep.json`), and of each time they were handed out (`submissions.jsonl`).

    sweep.json          rewritten whole: name, command, created, and one entry per job
    submissions.jsonl   appended to: when which jobs went where

How far a job has come is its run folder's to say (`run.json`, `attempts.jsonl`).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anycost.errors import UserError
from anycost.files import append_line, atomic_write, explained_errors

SWEEP_FILE = "sweep.json"
SUBMISSIONS_FILE = "submissions.jsonl"


@dataclass(frozen=True)
class Job:
    """One run of a sweep: `folder` is its name inside the sweep's, `after` the indices of the jobs it starts from."""

    index: int
    overrides: list[str]
    folder: str
    seed: int = 0
    row: str | None = None
    after: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Sweep:
    """A multirun folder and its jobs in the order of the command.

    `command` was started in the folder `cwd`; `created` is the time in UTC, ISO 8601.
    """

    folder: Path
    command: list[str]
    jobs: list[Job]
    created: str = ""
    cwd: str = ""

    @property
    def name(self) -> str:
        return self.folder.name

    def job(self, index: int) -> Job:
        """The job of this index; `UserError` where the sweep has none."""
        for job in self.jobs:
            if job.index == index:
                return job
        raise UserError(f"{self.folder} has no job {index}; its jobs are {spans_of([job.index for job in self.jobs])}")

    def run_dir(self, job: Job) -> Path:
        """The run folder of a job."""
        return self.folder / job.folder

    def label(self, job: Job) -> str:
        """What tells the job from the others, for people: `seed=1`; its folder where it is alone."""
        return telling(job.overrides, [other.overrides for other in self.jobs]) or job.folder


@dataclass(frozen=True)
class Submission:
    """Jobs handed out together.

    `executor` is `slurm` (`id` is that of the array, whose task indices are those of the jobs: job 3 is `ID_3`) or
    `local` (`id` is the process that runs them, on `host`).
    """

    time: str
    executor: str
    id: str
    host: str
    indices: list[int]


def telling(overrides: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Those of a row's overrides that not all `rows` share, in one line."""
    common = set.intersection(*map(set, rows))
    return " ".join(text for text in overrides if text not in common)


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_sweep(sweep: Sweep) -> None:
    """Write `sweep.json`; a sweep that is there keeps its time of creation."""
    path = sweep.folder / SWEEP_FILE
    created = sweep.created or (read_sweep(sweep.folder).created if path.exists() else now())
    content = {"name": sweep.name, "command": sweep.command, "created": created, "cwd": sweep.cwd,
               "jobs": [asdict(job) for job in sweep.jobs]}
    with atomic_write(path, "w") as file:
        json.dump(content, file, indent=1)


def read_sweep(folder: Path | str) -> Sweep:
    """The sweep of a multirun folder; `UserError` where there is none, or one that cannot be read."""
    folder = Path(folder).expanduser()
    path = folder / SWEEP_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        jobs = [_job(entry) for entry in content["jobs"]]
        command = [str(word) for word in content["command"]]
        return Sweep(folder, command, jobs, str(content["created"]), str(content.get("cwd", "")))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder} is not the folder of a sweep: it has no {SWEEP_FILE}; name a folder under "
                        "logs/train/multiruns that hydra/launcher=slurm or hydra/launcher=local made") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}); move it away and start the command of "
                        "the sweep again, which writes it anew and keeps the runs") from error


def _job(entry: dict[str, Any]) -> Job:
    job = Job(**entry)
    if Path(job.folder).name != job.folder or job.folder in ("", ".", ".."):
        raise ValueError(f"the folder {job.folder!r} of a job is not a plain name")
    return replace(job, index=int(job.index), seed=int(job.seed), after=[int(index) for index in job.after])


def append_submission(folder: Path, submission: Submission) -> None:
    """Add a line to `submissions.jsonl`; what a kill left of an earlier line stays a line of its own."""
    path = folder / SUBMISSIONS_FILE
    with explained_errors(path):
        append_line(path, json.dumps(asdict(submission)))


def read_submissions(folder: Path) -> list[Submission]:
    """All submissions, oldest first; lines that a kill or a full disk tore are left out."""
    try:
        lines = (folder / SUBMISSIONS_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Submission(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def latest_submission(submissions: Sequence[Submission], index: int) -> Submission | None:
    """The last submission that the job `index` was part of."""
    return next((entry for entry in reversed(submissions) if index in entry.indices), None)


def spans_of(indices: Sequence[int]) -> str:
    """Ascending indices as people write them, and as `sbatch --array` reads them: `0-3,7`."""
    spans: list[list[int]] = []
    for index in sorted(indices):
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
