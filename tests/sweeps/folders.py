"""Sweep folders as commands write them, and a SLURM of shell scripts that answers as version 22.05 does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

SUBMITTED = "2026-01-01T12:00:00+00:00"
LATER = "2026-01-01T13:00:00+00:00"
INVALID = "slurm_load_jobs error: Invalid job id specified"
SILENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
NO_ACCOUNTING = "Slurm accounting storage is disabled"


def write_sweep(folder: Path, jobs: Sequence[Mapping[str, Any]]) -> Path:
    """A sweep of `jobs`, each with what it has beside index and folder."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        {"index": index, "overrides": [], "folder": f"run-{index}", "seed": 0, "row": None, "after": [], **job}
        for index, job in enumerate(jobs)
    ]
    content = {"name": folder.name, "command": ["anycost", "train"], "created": SUBMITTED, "cwd": "", "jobs": entries}
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder


def submit(folder: Path, indices: Sequence[int], id_: str = "12", executor: str = "slurm", host: str = "login") -> None:
    entry = {"time": SUBMITTED, "executor": executor, "id": id_, "host": host, "indices": list(indices)}
    append(folder / "submissions.jsonl", entry)


def begin(run: Path, job: str = "", attempt: int = 1, **more: Any) -> None:
    """An attempt starts: in the SLURM job `job`, or without SLURM."""
    entry = {"attempt": attempt, "time": LATER, "host": "node7", "nodes": "node7", "pid": 99, "slurm_job": job}
    append(run / "attempts.jsonl", {**entry, "images": 0, **more})


def end(run: Path, state: str, error: str = "", attempt: int = 1, images: int = 0) -> None:
    entry = {"attempt": attempt, "ended": LATER, "state": state, "images": images, "error": error}
    append(run / "attempts.jsonl", entry)


def append(path: Path, entry: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def train(run: Path, images: int, state: str = "running", kimg: float = 20.0, **config: Any) -> None:
    """What a run of `kimg` thousand images has in its folder; run.json knows of `images`."""
    run.mkdir(parents=True, exist_ok=True)
    settings = {"stage": {"name": "ada_ch", "kimg": kimg}, "data": {"batch_size": 4}, "seed": 0, **config}
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    record(run, images, state)


def record(run: Path, images: int, state: str) -> None:
    run.mkdir(parents=True, exist_ok=True)
    content = {"stage": "ada_ch", "data": "faces", "state": state, "images": images, "attempts": 1}
    (run / "run.json").write_text(json.dumps(content))


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Another process owns `folder` meanwhile; its number. It ends at SIGTERM, as training does."""
    folder.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys, time; from pathlib import Path; from anycost.files import lock_folder\n"
        "lock = lock_folder(Path(sys.argv[1]), 'busy'); print('ready', flush=True); time.sleep(250)"
    )
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


class FakeSlurm:
    """Commands on PATH that write down how they were called, and answer what they are told to."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.calls_file = folder, folder / "calls"
        folder.mkdir(parents=True)
        patch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
        self.answer("squeue", "", INVALID)
        self.answer("sacct", "", NO_ACCOUNTING)
        for name in ("scancel", "scontrol"):
            self.answer(name)

    def answer(self, command: str, output: str = "", error: str = "") -> None:
        """What `command` says from now on; with an `error` it fails."""
        (self.folder / f"{command}.out").write_text(output)
        (self.folder / f"{command}.err").write_text(error)
        script = self.folder / command
        script.write_text(
            f'#!/bin/sh\necho "{command} $*" >> {self.calls_file}\ncat {script}.out\ncat {script}.err >&2\n'
            f"exit {1 if error else 0}\n"
        )
        script.chmod(0o755)

    def calls(self, command: str) -> list[str]:
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        return [line for line in text.splitlines() if line.startswith(f"{command} ")]
