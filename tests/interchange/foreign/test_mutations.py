"""Ten thousand damaged files of all kinds: each is refused in words or read as data; none runs, hangs, fills memory."""

import io
import pickle
import random
import resource
import struct
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from anycost.errors import UserError
from anycost.interchange.foreign import Stub
from anycost.interchange.foreign.known import KNOWN

SEED, COUNT = 0, 10_000
PLAIN = (type(None), bool, int, float, str, bytes, bytearray, torch.dtype)


def originals(foreign_files: ModuleType, folder: Path) -> dict[str, bytes]:
    """One small file of each kind."""
    torch.manual_seed(0)
    network = foreign_files.module(
        {"synthesis.b4.const": torch.randn(4, 4, 4), "mapping.fc0.weight": torch.randn(8, 8),
         "mapping.w_avg": torch.zeros(8)}, {"": "Generator"}, ("w_avg",), {"": {"z_dim": 8}})
    tensorflow = foreign_files.tf_network("G", {"lod": np.float32(0), "w": np.ones((3, 3, 2, 2), "f4")})
    shared = torch.randn(8, 8)
    state = {"g_ema": {"weight": shared, "view": shared.t()[2:], "half": torch.randn(3).half(), "n": torch.arange(4)},
             "epoch": 3, "lr": 0.002, "args": [None, True, ("a", {"b": b"c"})]}
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(4, dtype="i2"), "c": np.float64(3)}
    paths = {name: folder / name for name in ("zip", "legacy", "nvidia", "tensorflow")}
    torch.save(state, paths["zip"])
    torch.save(state, paths["legacy"], _use_new_zipfile_serialization=False)
    foreign_files.write_pickle(paths["nvidia"], {"G": network, "args": foreign_files.easy_dict(a=1)}, 3)
    foreign_files.write_pickle(paths["tensorflow"], (tensorflow, tensorflow), 4)
    array = io.BytesIO()
    np.save(array, np.arange(12, dtype="f4").reshape(3, 4))
    return {
        **{name: path.read_bytes() for name, path in paths.items()},
        **{f"arrays {protocol}": pickle.dumps(arrays, protocol) for protocol in (2, 4, 5)},
        "npy": array.getvalue(),
        "json": b'{"full": {"channels": [8, 8, 4], "fid": 2.5, "name": "a"}, "list": [1, null]}',
        "safetensors": save({"a": torch.ones(2, 3), "b": torch.arange(4)}, {"author": "x"}),
    }


def inside(data: bytes, damage: Callable[[bytes], bytes]) -> bytes:
    """A zip archive whose pickle alone is damaged, with right checksums: the damage reaches the unpickler."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(stream, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, damage(content) if name.endswith("data.pkl") else content)
    return stream.getvalue()


def check_promise(value: Any, level: int = 0) -> None:
    """What `Foreign` says of its content, walked through as importers do."""
    assert level <= 100
    if isinstance(value, Tensor):
        assert value.is_contiguous()
        value.double().sum()
    elif isinstance(value, Stub):
        check_promise(value.args, level + 1)
        check_promise(value.state, level + 1)
    elif isinstance(value, dict):
        for key, entry in value.items():
            assert isinstance(key, str | int | float | bytes | None)
            check_promise(entry, level + 1)
    elif isinstance(value, list | tuple | set):
        for entry in value:
            check_promise(entry, level + 1)
    else:
        assert isinstance(value, PLAIN)


def outcomes(seed: int, count: int, files: dict[str, bytes], path: Path, read: Callable, mutate: Callable) -> Counter:
    """Read `count` damaged files; how many of each kind were refused, and how many read."""
    rng = random.Random(seed)
    seen: Counter = Counter()
    names = sorted(files)
    for _ in range(count):
        name = rng.choice(names)
        if name == "zip" and rng.random() < 0.8:
            content = inside(files[name], lambda data: mutate(data, rng))
        else:
            content = mutate(files[name], rng)
        seen[name, outcome(content, path, read)] += 1
    return seen


def outcome(content: bytes, path: Path, read: Callable) -> str:
    """`read` or `refused`, with every promise about either checked."""
    with path.open("r+b" if path.exists() else "wb") as file:  # ten times faster than a new file
        file.write(content)
        file.truncate()
    start = time.process_time()
    try:
        check_promise(read(path).content)
    except UserError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 (that it is raised is not what is tested)
        assert str(error).isprintable()  # noqa: PT017
        return "refused"
    finally:
        assert time.process_time() - start < 10
    return "read"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_ten_thousand_damaged_files(
    foreign_files: ModuleType, tmp_path: Path, read: Callable, mutate: Callable
) -> None:
    files = originals(foreign_files, tmp_path)
    for content in files.values():
        (tmp_path / "whole").write_bytes(content)
        check_promise(read(tmp_path / "whole").content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = outcomes(SEED, COUNT, files, tmp_path / "damaged", read, mutate)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
    for name in files:
        assert seen[name, "refused"] > COUNT / len(files) / 5
    assert seen["zip", "read"] < seen["zip", "refused"]


STORAGE = b"(\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpuK\x04tQ"
FLOATS = b"cnumpy\ndtype\n\x8c\x02f4\x85R(K\x03\x8c\x01<NNNtb"
NAMES = [f"c{module}\n{name}\n".encode() for module, name in sorted(KNOWN)]
CALLABLE = [place for place, entry in sorted(KNOWN.items()) if getattr(entry, "build", None)]
VALUES = [
    b"N", b"\x88", b"\x89", b"K\x00", b"K\x02", b"J\xff\xff\xff\xff", b"G?\xf0" + bytes(6), b"\x8a\x09" + b"\x7f" * 9,
    b"]", b"}", b")", b"\x8f", b"C\x08" + bytes(8), b"C\x00", b"\x8c\x01a", b"\x8c\x06latin1", b"\x8c\x02f4",
    b"\x8c\x01<", b"\x8c\x010", b"\x8c\x07storage", b"}\x8c\x04type\x8c\x05classs", b"K\x01\x85", b"K\x02K\x02\x86",
    b"\x96" + struct.pack("<Q", 4) + bytes(4), b"NNN\x87", STORAGE, STORAGE, FLOATS, FLOATS, *NAMES,
]
OPERATIONS = [
    b"R", b"b", b"\x81", b"\x92", b"a", b"e", b"s", b"u", b"\x85", b"\x86", b"\x87", b"t", b"(", b"l", b"d", b"o", b"Q",
    b"0", b"1", b"2", b"h\x00", b"h\x01", b"q\x00", b"q\x01", b"\x94", b"\x90", b"\x91", b"\x93",
]  # fmt: skip


def program(rng: random.Random) -> bytes:
    """A random pickle of what the unpickler knows: a call with values of all types, then a few operations."""
    module, name = rng.choice(CALLABLE)
    most = len(signature(KNOWN[module, name].build).parameters) - 1
    count = rng.choice((most, most, most, rng.randrange(most + 1), 7))
    call = [f"c{module}\n{name}\n".encode(), b"(", *rng.choices(VALUES, k=count), b"t", b"R"]
    state = rng.choice(([], [], [b"(", *rng.choices(VALUES, k=5), b"tb"], [rng.choice(VALUES), b"b"]))
    rest = [rng.choice(rng.choice((VALUES, OPERATIONS))) for _ in range(rng.choice((0, 0, 1, 5, 20)))]
    return b"\x80\x04" + b"".join(call + state + rest) + b"."


def test_random_programs(tmp_path: Path, read: Callable) -> None:
    """As plain pickles and in archives with one storage."""
    rng = random.Random(SEED)
    seen: Counter = Counter()
    for k in range(6000):
        content = program(rng)
        if k % 2:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w") as file:
                file.writestr("x/data.pkl", content)
                file.writestr("x/data/0", bytes(16))
            content = stream.getvalue()
        seen[outcome(content, tmp_path / "x", read)] += 1
    assert min(seen["read"], seen["refused"]) > 100
