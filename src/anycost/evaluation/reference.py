"""Statistics of the real images: streamed like any pass, kept by hash under the cache for whoever measures next."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anycost.configuration.schema import DataConfig
from anycost.data.datasets import Source
from anycost.data.sources import PictureSource
from anycost.errors import UserError
from anycost.evaluation.passes import Column, Gathering, ImageSource, Pass
from anycost.evaluation.rendering import Reals
from anycost.evaluation.shards import BROKEN, SHARDS
from anycost.files import atomic_write
from anycost.metrics.measure import Measure
from anycost.metrics.protocols import MetricProtocol
from anycost.metrics.states import State

log = logging.getLogger(__name__)
_REMEMBERED_BYTES = 2**26


@dataclass
class Reference:
    """The real images of one data set, at any resolution up to that of its configuration.

    States are kept in `<cache>/statistics` under a hash of all that they depend on: the data's fingerprint, filter,
    padding, resolutions and count, and what the measure keeps of them (`Measure.real_key`).
    """

    source: Source
    config: DataConfig
    cache: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _states: dict[str, State] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """Names the data set."""
        return self.source.fingerprint()

    @property
    def identity(self) -> str:
        """What records call the real images: the data set, and how it is read where that is not the usual way.

        So numbers against pictures of another filter or padding are not taken for the same, nor are those against
        faces that were drawn at another size before they were brought to the size that is measured.
        """
        way = (self.config.filter, self.config.padding)
        drawn = "" if isinstance(self.source, PictureSource) else f"-drawn{self.config.resolution}"
        return self.fingerprint + drawn + ("" if way == ("bilinear", "crop") else f"-{way[0]}-{way[1]}")

    def check(self, protocol: MetricProtocol, resolution: int) -> None:
        """`UserError` where there are too few reals for the protocol, or they would have to be enlarged."""
        protocol.real_count(len(self.source))
        largest = self.config.resolution
        if resolution > largest:
            raise UserError(
                f"data.resolution={largest}: images of {resolution} px cannot be compared with real images of "
                f"{largest} px, which would have to be enlarged; take data.resolution={resolution} if the data has it"
            )
        if not isinstance(self.source, PictureSource) and largest % resolution:
            raise UserError(
                f"data.resolution={largest}: the faces are drawn at {largest} px and cannot be brought to "
                f"{resolution} px; resize the images to a power of two"
            )

    def state(self, measure: Measure, resolution: int) -> State | None:
        """What has been gathered for this measure at this resolution, or None where nobody has done so yet."""
        key = self.key(measure, resolution)
        path = self._path(key)
        if str(path) in self._states:
            return self._states[str(path)]
        found = _load(path, measure)
        if found is not None:
            self._remember(path, found)
        return found

    def keep(self, measure: Measure, resolution: int, state: State) -> None:
        """Keep a finished state for this and later evaluations."""
        key = self.key(measure, resolution)
        path = self._path(key)
        with atomic_write(path) as file:
            np.savez(file, key=json.dumps(key, sort_keys=True), **state.arrays())  # type: ignore[arg-type]
        self._remember(path, state)

    def _remember(self, path: Path, state: State) -> None:
        """Keep small states in memory; all features of a large data set are read again when they are asked for."""
        if sum(array.nbytes for array in state.arrays().values()) <= _REMEMBERED_BYTES:
            self._states[str(path)] = state

    def missing(self, wanted: Iterable[tuple[Measure, int]]) -> dict[int, list[Measure]]:
        """By resolution, one measure for every state that is needed and not there yet."""
        found: dict[int, dict[str, Measure]] = {}
        for measure, resolution in wanted:
            if measure.needs_reals and self.state(measure, resolution) is None:
                found.setdefault(resolution, {})[str(self._path(self.key(measure, resolution)))] = measure
        return {resolution: list(found[resolution].values()) for resolution in sorted(found)}

    def build(self, missing: Mapping[int, Sequence[Measure]], batch_size: int, shards: int = SHARDS) -> Pass:
        """The pass over the real images that gathers what is missing: one column per resolution."""
        source: ImageSource = Reals(self.source, self.config, list(missing), self.device)
        columns = [Column(f"{side} px", tuple(map(self._gathering, measures))) for side, measures in missing.items()]
        key = {"reals": [self.key(measure, resolution) for resolution in missing for measure in missing[resolution]]}
        title = f"real images at {', '.join(map(str, missing))} px"
        return Pass(title, source, columns, key, batch_size, shards)

    def _gathering(self, measure: Measure) -> Gathering:
        return Gathering(measure.protocol.name, self._count(measure), _no_none(measure), measure.add_reals)

    def key(self, measure: Measure, resolution: int) -> dict[str, Any]:
        """All that the state depends on."""
        return {
            "data": self.fingerprint,
            "resolution": resolution,
            "full_resolution": self.config.resolution,
            "filter": self.config.filter,
            "padding": self.config.padding,
            "count": self._count(measure),
            **(measure.real_key or {}),
        }

    def _count(self, measure: Measure) -> int:
        return measure.protocol.real_count(len(self.source))

    def _path(self, key: Mapping[str, Any]) -> Path:
        text = json.dumps(key, sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        network = str(key.get("features", "features")).partition("-")[0]
        return self.cache.expanduser() / "statistics" / f"{network}-{digest}.npz"


def _no_none(measure: Measure) -> Callable[[], State]:
    def empty() -> State:
        state = measure.real_empty()
        assert state is not None
        return state

    return empty


def _load(path: Path, measure: Measure) -> State | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "key"}
            return type(_no_none(measure)()).from_arrays(arrays)
    except BROKEN as error:
        log.warning("%s cannot be read (%s): the real images are measured again", path, error)
        return None
