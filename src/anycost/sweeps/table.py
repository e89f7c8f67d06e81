"""The status of a sweep for eyes: a table in a terminal, aligned lines in a pipe, a summary, and what to do next."""

import shlex
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from anycost.sweeps.record import SWEEP_FILE, spans_of
from anycost.sweeps.states import (
    DIED,
    FAILED,
    FINISHED,
    MISSING,
    QUEUED,
    REQUEUED,
    RESUMABLE,
    RUNNING,
    STOPPED,
    WAITING,
)
from anycost.sweeps.status import JobStatus, SweepStatus

_COLOURS = {
    RUNNING: "cyan", QUEUED: "blue", REQUEUED: "blue", WAITING: "blue", FINISHED: "green", STOPPED: "yellow",
    FAILED: "red", DIED: "red", MISSING: "yellow",
}  # fmt: skip
_HEADS = ("#", "job", "seed", "state", "kimg", "best", "restarts", "where", "error", "W&B")
_RIGHT = ("#", "seed", "kimg", "restarts")
_OFFLINE = "offline: "


def print_status(status: SweepStatus, console: Console) -> None:
    """The whole page."""
    rows = [_cells(job) for job in status.jobs]
    heads = [head for number, head in enumerate(_HEADS) if head in ("#", "job", "state", "kimg") or
             any(row[number] for row in rows)]  # fmt: skip
    kept = [[row[_HEADS.index(head)] for head in heads] for row in rows]
    if console.is_terminal:
        console.print(_rich_table(heads, kept, status.jobs))
    else:
        for line in aligned(heads, kept):
            print(line)
    print(", ".join(f"{count} {state}" for state, count in status.counts.items()))
    for line in _further(status):
        print(line)


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns under their heads, two spaces between them; numbers to the right, nothing cut off."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(width) if head in _RIGHT else cell.ljust(width)
            for cell, width, head in zip(line, widths, heads, strict=True)
        ).rstrip()
        for line in lines
    ]


def _cells(job: JobStatus) -> list[str]:
    """The texts of one row, in the order of the heads."""
    best, total = job.progress.best, job.progress.total_kimg
    digits = 1 if total is None or total >= 1 else 3
    kimg = f"{job.progress.images / 1000:.{digits}f}" + (f" / {total:g}" if total is not None else "")
    stage = f" {job.progress.stage}" if "/" in job.progress.stage else ""
    # The reason of a failure has a column of its own, and SLURM's "None" is none.
    detail = "" if job.error or job.state.detail in ("", "None") else f" ({job.state.detail})"
    offline = job.progress.wandb.startswith(_OFFLINE)
    return [
        str(job.job.index),
        job.name,
        str(job.job.seed),
        f"{job.state.name}{detail}",
        kimg + stage,
        f"{best.value:.4g} {best.name}" if best is not None else "",
        str(job.restarts or ""),
        " ".join(filter(None, (job.where, job.slurm_job))),
        job.error,
        "offline" if offline else job.progress.wandb,
    ]


def _rich_table(heads: Sequence[str], rows: Sequence[Sequence[str]], jobs: Sequence[JobStatus]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, justify="right" if head in _RIGHT else "left", overflow="fold")
    for row, job in zip(rows, jobs, strict=True):
        cells = dict(zip(heads, map(Text, row), strict=True))
        cells["state"].stylize(_COLOURS[job.state.name])
        if "W&B" in cells and job.progress.wandb.startswith("http"):
            cells["W&B"] = Text("open", style=f"link {job.progress.wandb}")
        table.add_row(*cells.values())
    return table


def _further(status: SweepStatus) -> list[str]:
    """What is to be said beneath the table, and the command that helps next."""
    folder = shlex.quote(str(status.folder))
    lines = [f"note: {status.silence}"] if status.silence else []
    if not status.recorded:
        lines.append(f"note: no {SWEEP_FILE} here, so only runs that have begun are known")
    offline = [job for job in status.jobs if job.progress.wandb.startswith(_OFFLINE)]
    if offline:
        paths = sorted({job.progress.wandb.removeprefix(f"{_OFFLINE}wandb sync ") for job in offline})
        lines.append(f"W&B offline: wandb sync {paths[0]}" + (" (and so on)" if len(paths) > 1 else ""))
    resumable = [job.job.index for job in status.jobs if job.state.name in RESUMABLE]
    if resumable and status.recorded:
        lines.append(f"next: anycost sweep resubmit {folder} continues {spans_of(resumable)}")
    elif status.active:
        lines.append(f"next: anycost sweep status {folder} watch=30")
    elif not resumable and any(job.progress.best for job in status.jobs):
        lines.append(f"next: anycost report {folder}")
    return lines
