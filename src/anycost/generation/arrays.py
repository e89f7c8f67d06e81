"""Arrays of pictures and codes as `.npy` files, written as they are made: one batch is in memory at a time."""

import shutil
from collections.abc import Iterable
from math import prod
from pathlib import Path

import numpy as np
from torch import Tensor

from anycost.errors import UserError
from anycost.files import atomic_write


def write_array(path: Path | str, batches: Iterable[Tensor], shape: tuple[int, ...]) -> None:
    """A float32 array of `shape`, out of `batches` along its first axis; whole or not at all.

    Raises `UserError` before the first batch where the disk has no room for it, `ValueError` where the batches are
    not of that shape.
    """
    path = Path(path)
    _check_room(path, 4 * prod(shape))
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        rows = 0
        for batch in batches:
            if tuple(batch.shape[1:]) != shape[1:]:
                raise ValueError(f"a batch of shape {tuple(batch.shape)} is no part of an array of shape {shape}")
            file.write(np.ascontiguousarray(batch.detach().cpu().numpy(), dtype="<f4").data)
            rows += len(batch)
        if rows != shape[0]:
            raise ValueError(f"the batches have {rows} rows; the array has {shape[0]}")


def _check_room(path: Path, needed: int) -> None:
    there = next(folder for folder in path.absolute().parents if folder.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(
            f"cannot write {path}: it needs {needed / 1e9:.3g} GB and {there} has {free / 1e9:.3g} GB free; "
            f"make fewer pictures, or smaller ones"
        )
