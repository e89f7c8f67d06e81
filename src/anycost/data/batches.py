"""What a training step receives, and which training images each process takes (`docs/architecture.md`)."""

from collections.abc import Iterator
from typing import TypedDict

from torch import Tensor
from torch.utils.data import Sampler


class Batch(TypedDict):
    """One process's share of a step."""

    index: Tensor
    """int64 [B]: the global indices of these training images over the whole run."""
    images: dict[int, Tensor]
    """{resolution: uint8 [B, 3, r, r]}"""


class ImageIndexBatches(Sampler[list[int]]):
    """Lists of the training-image indices of one rank, from image `start` up to `stop`.

    The global batch n .. n+B-1 gives rank r of W the indices n+r, n+r+W, ... Only whole global batches come, so
    up to `batch_size - 1` images before `stop` stay out.
    """

    def __init__(self, start: int, stop: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if batch_size % world_size:
            raise ValueError(f"a batch of {batch_size} images does not divide among {world_size} processes")
        self.start, self.stop, self.batch_size = start, stop, batch_size
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return max(self.stop - self.start, 0) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(len(self)):
            first = self.start + batch * self.batch_size
            yield list(range(first + self.rank, first + self.batch_size, self.world_size))
