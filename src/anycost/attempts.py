"""The starts of a run and how each of them ended: `attempts.jsonl` in its folder, append-only.

Bookkeeping for people and for `anycost sweep status`; training takes nothing from it but the number of the attempt and
whether jobs that were queued again got anywhere. So it never ends a training: where a line cannot be appended (a full
disk), a warning says so and training goes on; the checkpoint has its own, clear error.
"""

import json
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anycost.files import append_line

log = logging.getLogger(__name__)

FILE = "attempts.jsonl"
STATES = ("finished", "stopped", "requeued", "failed")
PREEMPTED = "preempted"
"""As the error of a requeued attempt: other jobs took its place."""
_LONGEST_ERROR = 500


@dataclass(frozen=True)
class Attempt:
    """One start of a run.

    Args:
        attempt: 1, 2, 3, ...
        time: when it started, ISO 8601, UTC.
        host: of its first process; `nodes` are all, as SLURM writes them.
        pid: of its first process.
        slurm_job: `12`, or `12_3` of an array; empty without SLURM.
        images: seen by the newest checkpoint when it started.
        ended: when it ended; empty where it died, or where it is at work (then the folder's lock is held).
        state: one of `STATES`; empty where `ended` is.
        images_at_end: seen by the newest checkpoint at its end; those of the start where it died.
        error: of one that failed, the last line; why one stopped, or was queued again, where more is known.
    """

    attempt: int
    time: str
    host: str
    nodes: str
    pid: int
    slurm_job: str
    images: int
    ended: str = ""
    state: str = ""
    images_at_end: int = 0
    error: str = ""

    @property
    def moved(self) -> bool:
        """Whether it got any further."""
        return self.images_at_end > self.images


class Attempts:
    """Writes the lines of one attempt, those of earlier ones at hand in `earlier`."""

    def __init__(self, folder: Path, images: int) -> None:
        """Start an attempt in `folder`, whose newest checkpoint has seen `images`."""
        self.path = folder / FILE
        self.earlier = read_attempts(folder)
        host = socket.gethostname()
        self.current = Attempt(
            attempt=1 + max((one.attempt for one in self.earlier), default=0),
            time=_now(),
            host=host,
            nodes=os.environ.get("SLURM_JOB_NODELIST", host),
            pid=os.getpid(),
            slurm_job=slurm_job(),
            images=images,
            images_at_end=images,
        )
        fields = ("attempt", "time", "host", "nodes", "pid", "slurm_job", "images")
        _append(self.path, {name: getattr(self.current, name) for name in fields})

    def end(self, state: str, images: int, error: str = "") -> None:
        """The attempt ended so; said a second time, the last word counts."""
        last = (error.strip().splitlines() or [""])[-1][:_LONGEST_ERROR]
        self.current = replace(self.current, ended=_now(), state=state, images_at_end=images, error=last)
        entry = {"attempt": self.current.attempt, "ended": self.current.ended, "state": state, "images": images}
        _append(self.path, {**entry, "error": last})


def read_attempts(folder: Path) -> list[Attempt]:
    """The attempts of a run, oldest first; none where there is no file. Damaged lines are passed over."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found: dict[int, Attempt] = {}
    for line in text.splitlines():
        entry = _entry(line)
        if "time" in entry:
            found[entry["attempt"]] = Attempt(**entry, images_at_end=entry["images"])
        elif entry.get("attempt") in found:
            end = {**entry, "images_at_end": entry["images"]}
            del end["attempt"], end["images"]
            found[entry["attempt"]] = replace(found[entry["attempt"]], **end)
    return list(found.values())


def slurm_job() -> str:
    """The SLURM job of this process by the name that all commands take: `12`, of an array `12_3`, else empty."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


def requeued_in_vain(attempts: Sequence[Attempt]) -> int:
    """How many of the last attempts in a row were queued again without having got any further.

    Those that were preempted do not count: they say nothing of the time that the run needs.
    """
    count = 0
    for one in reversed(attempts):
        if one.state != "requeued" or one.moved:
            break
        count += one.error != PREEMPTED
    return count


_START = {"attempt": int, "time": str, "host": str, "nodes": str, "pid": int, "slurm_job": str, "images": int}
_END = {"attempt": int, "ended": str, "state": str, "images": int, "error": str}


def _entry(line: str) -> dict[str, Any]:
    """The fields of a line, of a start (with `time`) or an end; empty where it is damaged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    for fields in (_START, _END):
        if isinstance(entry, dict) and all(type(entry.get(name)) is kind for name, kind in fields.items()):
            return {name: entry[name] for name in fields}
    return {}


def _append(path: Path, entry: dict[str, Any]) -> None:
    try:
        append_line(path, json.dumps(entry))
    except OSError as error:
        log.warning("%s does not get its line: %s; training goes on", path, error.strerror)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
