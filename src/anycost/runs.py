"""A run's folder: its record (`run.json`) and where its files lie."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from anycost.files import atomic_write, lock_folder


@dataclass
class RunRecord:
    """What a run says of itself to other commands; rewritten at every start, checkpoint and end.

    `state` is `running`, `stopped` (by a time limit or a signal; the same command continues it) or `finished`.
    """

    stage: str
    data: str
    state: str = "running"
    images: int = 0
    attempts: int = 0


@dataclass(frozen=True)
class RunDir:
    """Names of the files in a run's folder."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def grids(self) -> Path:
        return self.path / "grids"

    @property
    def identity(self) -> str:
        """A name for dashboards: the folder's, with its pipeline's before it."""
        pipeline = self.path.parent
        return f"{pipeline.name}-{self.path.name}" if (pipeline / "config.yaml").exists() else self.path.name

    def read_record(self) -> RunRecord | None:
        """The record, or None where no run started here."""
        try:
            return RunRecord(**json.loads((self.path / "run.json").read_text()))
        except FileNotFoundError:
            return None

    def holds(self, images: int) -> bool:
        """Whether a run that has seen at least `images` finished here, and its weights are there."""
        record = self.read_record()
        ended = record is not None and record.state == "finished" and record.images >= images
        return ended and self.weights.exists()

    def write_record(self, record: RunRecord) -> None:
        with atomic_write(self.path / "run.json", "w") as file:
            json.dump(asdict(record), file, indent=2)

    @contextmanager
    def owned(self, patience_sec: float = 0.0) -> Iterator[None]:
        """Own the folder while the block runs; `UserError` where another process trains in it, and goes on to."""
        busy = f"another process is training in {self.path}; wait for it, or start a run of another name: run=NAME"
        with lock_folder(self.path, busy, patience_sec):
            yield

    def remove_leftovers(self) -> None:
        """Delete what a killed process was writing; only the owner may."""
        for folder in (self.path, self.checkpoints, self.grids):
            for stray in folder.glob(".*.part"):
                with suppress(FileNotFoundError):
                    stray.unlink()
