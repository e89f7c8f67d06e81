"""Sources as torch data sets: the training images, and the real images of measurements.

Everything here is a pure function of (source, seed, index): the number of workers, the batch size and the cache
change nothing.

A picture that cannot be used (broken, or smaller than the resolution) is replaced by the next one of the source
that can, and one log line per process names it. So training never stops in the middle, and the same pictures
come on every run. `anycost prepare` finds and lists such files beforehand.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset

from anycost.data.batches import Batch
from anycost.data.decode import UnusableImage
from anycost.data.pyramid import downsample_uint8, pyramid
from anycost.data.sources import PictureSource
from anycost.errors import UserError
from anycost.randomness import derive_seed, torch_generator
from anycost.signals import shield_worker

log = logging.getLogger(__name__)


class DrawnSource(Protocol):
    """Pictures that are drawn at any resolution: the embedded faces."""

    def __len__(self) -> int: ...

    def fingerprint(self) -> str: ...

    def render(self, indices: Sequence[int], resolution: int) -> Tensor:
        """The pictures at these places, uint8 `[B, 3, resolution, resolution]`."""


Source = PictureSource | DrawnSource
Pyramids = Callable[[Sequence[int]], dict[int, Tensor]]
"""Places in a source -> {resolution: uint8 [B, 3, r, r]}, not flipped, in memory that the caller may change."""


class PicturePyramids:
    """Decodes each picture once for all resolutions."""

    def __init__(self, source: PictureSource, resolutions: Sequence[int], filter: str, padding: str) -> None:
        self.source, self.resolutions, self.filter, self.padding = source, list(resolutions), filter, padding
        self._reported: set[int] = set()

    def __call__(self, places: Sequence[int]) -> dict[int, Tensor]:
        return stack([self._picture(k) for k in places])

    def _picture(self, place: int) -> dict[int, np.ndarray]:
        """The pyramid of the first usable picture from `place` on, round the end of the source."""
        for step in range(len(self.source)):
            k = (place + step) % len(self.source)
            try:
                return pyramid(self.source.read(k), self.resolutions, self.filter, self.padding)
            except UnusableImage as error:
                self._report(k, error)
        raise UserError(f"data.path={self.source.path} has no usable picture; see the reasons in the log")

    def _report(self, k: int, error: UnusableImage) -> None:
        if k not in self._reported:
            self._reported.add(k)
            log.warning(
                "%s in %s %s; the next usable picture takes its place (`anycost prepare` makes a clean archive)",
                self.source.name(k), self.source.path, error,
            )


class DrawnPyramids:
    """Draws at the largest resolution and filters the others from it."""

    def __init__(self, source: DrawnSource, resolutions: Sequence[int], filter: str) -> None:
        self.source, self.resolutions, self.filter = source, list(resolutions), filter

    def __call__(self, places: Sequence[int]) -> dict[int, Tensor]:
        largest = self.source.render(places, max(self.resolutions))
        return {r: downsample_uint8(largest, r, self.filter) for r in self.resolutions}


class CachedPyramids:
    """Keeps every pyramid in the memory of this process after its first use."""

    def __init__(self, pyramids: Pyramids) -> None:
        self._pyramids = pyramids
        self._kept: dict[int, dict[int, np.ndarray]] = {}

    def __call__(self, places: Sequence[int]) -> dict[int, Tensor]:
        missing = sorted(set(places) - self._kept.keys())
        if missing:
            made = self._pyramids(missing)
            for row, k in enumerate(missing):
                self._kept[k] = {r: images[row].numpy().copy() for r, images in made.items()}
        return stack([self._kept[k] for k in places])


def stack(pictures: Sequence[dict[int, np.ndarray]]) -> dict[int, Tensor]:
    """Single pyramids as a fresh batch. NumPy, for torch would wake its threads for these small copies."""
    return {r: torch.from_numpy(np.stack([picture[r] for picture in pictures])) for r in pictures[0]}


def open_pyramids(source: Source, resolutions: Sequence[int], filter: str, padding: str) -> Pyramids:
    """The way from places in `source` to pyramids."""
    if isinstance(source, PictureSource):
        return PicturePyramids(source, resolutions, filter, padding)
    return DrawnPyramids(source, resolutions, filter)


class TrainingImages(Dataset):
    """The endless sequence of training images; fetched by lists of global indices (`ImageIndexBatches`).

    Training image i is picture `order(i // N)[i % N]` of the N in the source, with `order(epoch)` a permutation
    drawn from (seed, epoch), and flipped where `mirror` and a coin drawn from (seed, i) say so.
    """

    def __init__(
        self,
        source: Source,
        resolutions: Sequence[int],
        seed: int,
        mirror: bool = True,
        filter: str = "bilinear",
        padding: str = "crop",
        cache: bool = False,
    ) -> None:
        """With `cache`, every process that loads keeps uint8 pyramids: 4 r^2 bytes a picture at most."""
        self.source, self.seed, self.mirror = source, seed, mirror
        pyramids = open_pyramids(source, resolutions, filter, padding)
        self._pyramids = CachedPyramids(pyramids) if cache else pyramids

    def __len__(self) -> int:
        """Pictures in the source: one epoch."""
        return len(self.source)

    def place(self, i: int) -> int:
        """Where training image `i` lies in the source."""
        epoch, position = divmod(i, len(self.source))
        return int(_order(self.seed, epoch, len(self.source))[position])

    def flipped(self, i: int) -> bool:
        """Whether training image `i` is mirrored."""
        return self.mirror and derive_seed(self.seed, "flip", i) % 2 == 1

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        flip = np.array([self.flipped(i) for i in indices])
        images = self._pyramids([self.place(i) for i in indices])
        for batch in images.values():
            pixels = batch.numpy()
            pixels[flip] = pixels[flip, ..., ::-1]
        return {"index": torch.tensor(indices), "images": images}


class RealImages(Dataset):
    """The pictures of a source at one resolution, in order, not flipped; fetched by lists of places."""

    def __init__(self, pyramids: Pyramids, resolution: int) -> None:
        self._pyramids, self._resolution = pyramids, resolution

    def __getitems__(self, places: Sequence[int]) -> Tensor:
        return self._pyramids(places)[self._resolution]


def real_images(
    source: Source,
    resolution: int,
    filter: str,
    padding: str,
    count: int,
    batch_size: int,
    full_resolution: int | None = None,
    workers: int = 0,
) -> Iterator[Tensor]:
    """The first `count` pictures in source order, not flipped, as uint8 `[B, 3, r, r]` (the last batch may be short).

    `full_resolution` is where faces are drawn before they are filtered down, as in training; by default they are
    drawn at `resolution`. Photographs are resized from their originals either way. More pictures than there are
    is a `UserError`.
    """
    if count > len(source):
        raise UserError(f"{count} real images are asked for and the data set has {len(source)}; ask for fewer")
    resolutions = sorted({resolution, full_resolution or resolution})
    images = RealImages(open_pyramids(source, resolutions, filter, padding), resolution)
    batches = BatchSampler(range(count), batch_size, drop_last=False)
    yield from DataLoader(
        images, batch_sampler=batches, collate_fn=identity, num_workers=workers, worker_init_fn=shield_worker
    )


def identity(batch: Any) -> Any:
    """The collate function of data sets that fetch whole batches."""
    return batch


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, size: int) -> Tensor:
    """The permutation of an epoch, int64 [size]."""
    return torch.randperm(size, generator=torch_generator(seed, "order", epoch))
