"""A folder, zip or LMDB of pictures from elsewhere (`images=`), checked and read as the images of a generator are."""

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anycost.data.decode import UnusableImage
from anycost.data.kinds import open_pictures
from anycost.errors import UserError

log = logging.getLogger(__name__)


class GivenPictures:
    """Square pictures of one size, in natural order of their names; `resolution` is their side in pixels.

    Raises `UserError` where there are none, or their sizes differ, or one of them cannot be read.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path).expanduser()
        if not path.exists():
            raise UserError(f"images={path} does not exist; give a folder, a zip or an LMDB of pictures")
        self.path = path
        self.source = open_pictures(path)
        if not len(self.source):
            raise UserError(f"images={path} has no pictures in it")
        self.resolution = self._common_side()

    def __len__(self) -> int:
        return len(self.source)

    @property
    def name(self) -> str:
        """For tables: the name of the folder or file."""
        return self.path.resolve().stem

    def identity(self) -> str:
        """16 hex digits of names, sizes and (zip) checksums: what records call these pictures."""
        return self.source.fingerprint()

    def read(self, first: int, stop: int) -> Tensor:
        """Pictures `first` to `stop` (not included) as uint8 `[B, 3, r, r]`; `UserError` for one that is broken."""
        return torch.from_numpy(np.stack([self._picture(k) for k in range(first, stop)]))

    def _picture(self, k: int) -> np.ndarray:
        try:
            pixels = np.asarray(self.source.read(k))
        except UnusableImage as error:
            raise self._unusable(k, str(error)) from error
        if pixels.shape[:2] != (self.resolution, self.resolution):  # the header promised another size
            raise self._unusable(k, f"is {pixels.shape[1]}x{pixels.shape[0]} pixels, its header says otherwise")
        return pixels.transpose(2, 0, 1)

    def _common_side(self) -> int:
        """The side of all pictures, from their headers."""
        first: tuple[int, int] | None = None
        for k in range(len(self.source)):
            try:
                size = self.source.size(k)
            except UnusableImage as error:
                raise self._unusable(k, str(error)) from error
            if size[0] != size[1]:
                raise self._unusable(k, f"is {size[0]}x{size[1]} pixels, not square")
            if first is not None and size != first:
                raise UserError(
                    f"images={self.path} has pictures of several sizes: {self.source.name(0)} is {first[0]} px, "
                    f"{self.source.name(k)} is {size[0]} px; a measurement needs one size, so resize them, or give "
                    "the folder of one size only"
                )
            first = size
        assert first is not None
        return first[0]

    def _unusable(self, k: int, reason: str) -> UserError:
        return UserError(
            f"images={self.path}: {self.source.name(k)} {reason}; mend or remove it, then run the same command again"
        )
