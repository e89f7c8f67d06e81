"""Tensors out of the bytes of a file: every size, stride and offset is checked, and the memory is their own."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anycost.interchange.foreign.limits import Limits, Refusal

_MOST_DIMENSIONS = 8
_STEPS = 20  # a tensor costs about as much as twenty operations of a pickle
_CARRIERS: dict[int, np.dtype] = {  # integers by their size, as which values are copied bit by bit
    1: np.dtype("u1"), 2: np.dtype("<i2"), 4: np.dtype("<i4"), 8: np.dtype("<i8"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Storage:
    """A run of values that tensors view; its bytes are not known yet while a legacy file is read the first time."""

    dtype: torch.dtype
    data: memoryview | None


def strided(limits: Limits, storage: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype | None = None) -> Any:
    """A dense copy of a view of `storage`; `dtype` reads its bytes as another type.

    None for a storage whose bytes are not known yet.
    """
    if not isinstance(storage, Storage):
        raise Refusal("has a tensor without storage")
    limits.step(_STEPS)
    if storage.data is None:
        return None
    dtype = dtype or storage.dtype
    available = len(storage.data) // dtype.itemsize
    size, stride = _naturals(size, "size"), _naturals(stride, "stride")
    (offset,) = _naturals((offset,), "offset")
    if len(size) != len(stride):
        raise Refusal(f"has a tensor of {len(size)} sizes and {len(stride)} strides")
    count = prod(size)
    if count == 0:
        return torch.empty(_small(size), dtype=dtype)
    stride = tuple(step if length > 1 else 0 for length, step in zip(size, stride, strict=True))
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if last >= available or count > available:
        raise Refusal(f"has a tensor of size {size} at offset {offset} in a storage of {available} values")
    limits.take(count * dtype.itemsize)
    carrier = _CARRIERS[dtype.itemsize]
    values = np.frombuffer(storage.data, carrier, available)
    view = np.lib.stride_tricks.as_strided(
        values[offset:], size, tuple(step * carrier.itemsize for step in stride), writeable=False
    )
    return _typed(torch.from_numpy(np.array(view, order="C")), dtype)


def from_array(limits: Limits, raw: Any, dtype: Any, shape: Any, fortran: Any) -> Tensor:
    """The tensor of a numpy array: `raw` bytes of a number `dtype`, in C or Fortran order."""
    if not isinstance(dtype, np.dtype) or not isinstance(raw, bytes | bytearray | memoryview):
        raise Refusal("has a numpy array without type or bytes")
    if not isinstance(fortran, bool):
        raise Refusal("has a numpy array in neither C nor Fortran order")
    limits.step(_STEPS)
    shape = _naturals(shape, "shape")
    if prod(shape) * dtype.itemsize != len(raw):
        raise Refusal(f"has a numpy array of shape {shape} and type {dtype} in {len(raw)} bytes")
    if not len(raw):
        return torch.from_numpy(np.empty(_small(shape), dtype))
    limits.take(len(raw))
    if dtype.kind == "b":
        return from_array(limits, raw, np.dtype("u1"), shape, fortran).ne(0)
    values = np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")
    return torch.from_numpy(np.array(values, dtype.newbyteorder("="), order="C"))


def number_type(code: Any, order: Any = "=") -> np.dtype:
    """numpy's type of numbers by its code without byte order (`f4`); others, objects among them, are refused."""
    if not isinstance(code, str) or code.startswith("O"):
        raise Refusal("has a numpy array of Python objects, which is a pickle inside; only numbers are read")
    if code not in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8") or order not in (
        "<", ">", "|", "="
    ):
        raise Refusal("has a numpy array of another type than numbers")
    return np.dtype(code).newbyteorder(order)


def _typed(values: Tensor, dtype: torch.dtype) -> Tensor:
    # a byte of a bool may be anything in a file, but must be 0 or 1 in memory
    return values.ne(0) if dtype == torch.bool else values.view(dtype)


def _naturals(values: Any, what: str) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > _MOST_DIMENSIONS:
        raise Refusal(f"has a tensor whose {what} is no tuple of at most {_MOST_DIMENSIONS} integers")
    if not all(type(value) is int and 0 <= value < 1 << 62 for value in values):
        raise Refusal(f"has a tensor whose {what} has entries that are no integers from 0 on")
    return tuple(values)


def _small(size: tuple[int, ...]) -> tuple[int, ...]:
    """An empty tensor's size; even that may overflow where the other dimensions are huge."""
    if prod(max(length, 1) for length in size) >= 1 << 40:
        raise Refusal(f"has an empty tensor of size {size}")
    return size
