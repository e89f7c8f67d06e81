"""Arrays of numpy, in files of their own and in pickles: numbers come back to the bit, objects are refused."""

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


def same(ours: torch.Tensor, theirs: np.ndarray) -> None:
    """The tensor has the array's type, shape and values, in native byte order."""
    assert ours.is_contiguous()
    array = ours.numpy()
    assert (array.dtype, array.shape) == (theirs.dtype.newbyteorder("="), theirs.shape)
    assert np.array_equal(array, theirs)


class Call:
    """Pickles as a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_numpy_become_tensors(protocol: int, tmp_path: Path, read: Callable) -> None:
    arrays = [np.arange(24.0).reshape(2, 3, 4), np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)),
              np.array([1, -2], ">i4"), np.array([True, False]), np.array(2.5), np.empty((0, 2)),
              np.arange(5, dtype="u2")[::2], np.arange(4, dtype="f2"), np.arange(3, dtype="u1")]
    scalars = [np.float32(1.5), np.int64(-3), np.bool_(True), np.float64("nan")]
    shared = arrays[0]
    (tmp_path / "x").write_bytes(pickle.dumps([*arrays, shared, *scalars], protocol))
    content = read(tmp_path / "x").content
    for ours, theirs in zip(content, arrays, strict=False):
        same(ours, theirs)
    assert content[len(arrays)] is content[0]
    assert content[-4:-1] == [1.5, -3, True]
    assert np.isnan(content[-1])


def renamed(data: bytes) -> bytes:
    """As numpy 1 wrote it."""
    return data.replace(b"numpy._core", b"numpy.core")


def test_both_names_of_numpy_s_core_are_known(tmp_path: Path, read: Callable) -> None:
    data = pickle.dumps([np.arange(3.0), np.float32(2)], 2)
    assert renamed(data) != data
    (tmp_path / "x").write_bytes(renamed(data))
    content = read(tmp_path / "x").content
    same(content[0], np.arange(3.0))
    assert content[1] == 2


@pytest.mark.parametrize("array", [
    np.arange(6, dtype="f4").reshape(2, 3), np.arange(6.0).reshape(2, 3).T, np.array(1.5), np.array([1, 2], ">i8"),
    np.empty((0, 512), "f4"), np.array([True]), np.zeros((3, 18, 4), "f2"),
], ids=lambda array: f"{array.dtype.str} {array.shape}")
def test_npy(array: np.ndarray, tmp_path: Path, read: Callable) -> None:
    np.save(tmp_path / "x.npy", array)
    foreign = read(tmp_path / "x.npy")
    assert foreign.kind == "npy"
    same(foreign.content, array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_npy_versions(version: tuple[int, int], tmp_path: Path, read: Callable) -> None:
    with (tmp_path / "x").open("wb") as file:
        np.lib.format.write_array(file, np.ones((2, 3)), version)
    same(read(tmp_path / "x").content, np.ones((2, 3)))


def test_arrays_of_objects(ran: Path, tmp_path: Path, refused: Callable) -> None:
    """numpy pickles the entries: in .npy files, and in pickles, where they are a list."""
    array = np.array([Call(f"touch {ran}"), None], dtype=object)
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert "Python objects" in refused((tmp_path / "x.npy").read_bytes())
    assert "Python objects" in refused(pickle.dumps(array, 4))
    np.savez(tmp_path / "x.npz", array)
    assert ".npz" in refused((tmp_path / "x.npz").read_bytes())


@pytest.mark.parametrize("dtype", [[("x", "f4")], "V8", "M8[s]", "S4", "U4", "c8", "f16"])
def test_arrays_of_other_things_than_numbers(dtype: Any, tmp_path: Path, refused: Callable) -> None:
    array = np.zeros(2, dtype)
    assert "numpy" in refused(pickle.dumps(array, 4))
    np.save(tmp_path / "x.npy", array)
    assert "file.pt" in refused((tmp_path / "x.npy").read_bytes())


def test_an_npy_header_is_no_program(ran: Path, refused: Callable) -> None:
    code = b"__import__('os').system('touch " + str(ran).encode() + b"')"
    header = b"{'descr': " + code + b", 'fortran_order': False, 'shape': (1,)}"
    assert "header" in refused(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8))
