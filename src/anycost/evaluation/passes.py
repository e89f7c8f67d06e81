"""One pass over a range of samples: whose images, and what is gathered from them for each column.

The outer loop runs over batches of samples, the inner over columns (architectures), so that what these share is made
once, and one batch of images is in memory at a time.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any, Protocol

from anycost.evaluation.shards import SHARDS, Arrays, Shard, ShardFile, shards_of
from anycost.metrics.batches import Batch
from anycost.metrics.states import State


class ImageSource(Protocol):
    """What `rendering.py` offers."""

    def batches(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Iterator[Batch]]:
        """For each range of samples, one batch per column."""


@dataclass(frozen=True)
class Gathering:
    """What is gathered from one column's images: the states of a measure over its first `samples` samples."""

    name: str
    samples: int
    empty: Callable[[], State]
    add: Callable[[State, Batch, int], None]


@dataclass(frozen=True)
class Column:
    """One architecture, or one set of pictures, with all that is gathered from it."""

    label: str
    gatherings: tuple[Gathering, ...]


States = list[list[State]]  # by column, then by gathering


@dataclass(frozen=True)
class Pass:
    """Images, columns, and the key of everything that decides the values (JSON), for the name of its work folder."""

    title: str
    source: ImageSource
    columns: Sequence[Column]
    key: dict[str, Any]
    batch_size: int
    num_shards: int = SHARDS

    @property
    def samples(self) -> int:
        return max(one.samples for column in self.columns for one in column.gatherings)

    @property
    def shards(self) -> list[Shard]:
        return shards_of(self.samples, self.num_shards)

    @property
    def images(self) -> int:
        """Over all columns."""
        return self.samples * len(self.columns)

    @property
    def digest(self) -> str:
        """16 hex digits: a pass of the same digest has the same states to the bit."""
        key = {**self.key, "batch_size": self.batch_size, "shards": self.num_shards}
        return hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=8).hexdigest()

    def empty(self) -> States:
        return [[one.empty() for one in column.gatherings] for column in self.columns]

    def ranges(self, shard: Shard) -> list[tuple[int, int]]:
        """The batches of a shard; none reaches over the end of a gathering."""
        ends = {one.samples for column in self.columns for one in column.gatherings}
        edges = {*range(shard.first, shard.stop, self.batch_size), *ends, shard.stop}
        inside = sorted(edge for edge in edges if shard.first <= edge <= shard.stop)
        return list(pairwise(inside))


def gather(
    work: Pass,
    shard: Shard,
    file: ShardFile | None = None,
    pulse: Callable[[int, States, int], None] = lambda images, states, position: None,
) -> States:
    """The states of one shard, continued from `file` and kept there now and then and at the end.

    After every batch, `pulse` gets the number of images that it held over all columns, the states so far, and the
    next sample.
    """
    position, states = _restored(work, file) if file else (None, work.empty())
    ranges = [one for one in work.ranges(shard) if position is None or one[0] >= position]
    for (first, stop), batches in zip(ranges, work.source.batches(ranges), strict=True):
        for column, kept, batch in zip(work.columns, states, batches, strict=True):
            for gathering, state in zip(column.gatherings, kept, strict=True):
                if first < gathering.samples:
                    gathering.add(state, batch, first)
        if file and (stop == shard.stop or file.due()):
            file.write(stop, _arrays(states))
        pulse((stop - first) * len(work.columns), states, stop)
    return states


def merged(states: Iterable[State]) -> State:
    """One state of shards in order."""
    return reduce(lambda one, other: one.merged(other), states)


def stored_state(work: Pass, file: ShardFile, column: int, gathering: int) -> State | None:
    """One state out of a shard's file; None where there is no whole file."""
    position, arrays = file.read([_prefix(column, gathering)])
    return None if position is None else _state(work, arrays, column, gathering)


def _restored(work: Pass, file: ShardFile) -> tuple[int | None, States]:
    position, arrays = file.read()
    if position is None:
        return None, work.empty()
    shape = enumerate(work.columns)
    return position, [[_state(work, arrays, c, g) for g in range(len(column.gatherings))] for c, column in shape]


def _state(work: Pass, arrays: Arrays, column: int, gathering: int) -> State:
    prefix = _prefix(column, gathering)
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return type(work.columns[column].gatherings[gathering].empty()).from_arrays(own)


def _arrays(states: States) -> Arrays:
    return {
        _prefix(c, g) + name: array
        for c, kept in enumerate(states)
        for g, state in enumerate(kept)
        for name, array in state.arrays().items()
    }


def _prefix(column: int, gathering: int) -> str:
    return f"{column}.{gathering}."
