"""Shards of a range of samples and the files that hold their unfinished and finished states.

A range is cut into fixed contiguous shards, whatever the number of processes. Each has states of its own, and the end
merges them in order: so neither a kill nor the number of processes changes a bit of the result.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from anycost.files import atomic_write

log = logging.getLogger(__name__)

SHARDS = 8
SAVE_EVERY_SEC = 30.0
_SAVING_SHARE = 0.05  # of the time at most goes into saving: states of features can be gigabytes
BROKEN = (BadZipFile, OSError, ValueError, KeyError, EOFError)
"""What reading a file that a kill or a disk damaged may raise."""

Arrays = dict[str, NDArray]


@dataclass(frozen=True)
class Shard:
    """Samples `first` to `stop` (not included)."""

    number: int
    first: int
    stop: int


def shards_of(samples: int, count: int = SHARDS) -> list[Shard]:
    """`samples` in order as `count` shards of nearly equal size; fewer where there are not so many samples."""
    count = min(count, samples)
    edges = [samples * number // count for number in range(count + 1)]
    return [Shard(number, *pair) for number, pair in enumerate(pairwise(edges))]


@dataclass
class ShardFile:
    """The states of one shard on disk: how far it came (`position`, the next sample) and named arrays."""

    path: Path
    saved: float = field(default_factory=time.monotonic)
    cost: float = 0.0

    def position(self) -> int | None:
        """The next sample that is missing, or None where there is no readable file."""
        return self.read([])[0] if self.path.is_file() else None

    def read(self, prefixes: Sequence[str] | None = None) -> tuple[int | None, Arrays]:
        """Position and the arrays, all or those whose names begin so; None and nothing where there is no whole file."""
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                names = [name for name in stored.files if prefixes is None or name.startswith(tuple(prefixes))]
                return int(stored["position"]), {name: stored[name] for name in names if name != "position"}
        except FileNotFoundError:
            return None, {}
        except BROKEN as error:
            log.warning("%s cannot be read (%s): this part is measured again", self.path, error)
            return None, {}

    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self.saved > max(SAVE_EVERY_SEC, self.cost / _SAVING_SHARE)

    def write(self, position: int, arrays: Mapping[str, Any]) -> None:
        """Replace the file, whole or not at all."""
        started = time.monotonic()
        with atomic_write(self.path) as file:
            np.savez(file, position=position, **arrays)
        self.saved = time.monotonic()
        self.cost = self.saved - started


@dataclass(frozen=True)
class WorkFolder:
    """Where the shards of one pass lie until its records are written."""

    path: Path

    def shard(self, shard: Shard) -> ShardFile:
        return ShardFile(self.path / f"shard_{shard.number}.npz")

    def describe(self, key: Mapping[str, Any]) -> None:
        """Leave a note of what is being measured here, for people who find the folder."""
        if not (self.path / "key.json").is_file():
            with atomic_write(self.path / "key.json", "w") as file:
                json.dump(key, file, indent=2)

    def remove(self) -> None:
        """Delete the folder, and its parent where that is empty now."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            os.rmdir(self.path.parent)
