"""Damaged and crafted files: an error that says what is wrong, in short time and little memory; and other formats."""

import bz2
import gzip
import io
import lzma
import pickle
import resource
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anycost.errors import UserError
from anycost.interchange.foreign import Stub, read_foreign
from anycost.interchange.foreign.limits import MOST_STEPS

MEGABYTE = 1 << 20
MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK%ctQ"


@pytest.fixture
def memory() -> Iterator[None]:
    """The process grows by at most 500 MiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 << 10


def integer(value: int) -> bytes:
    return pickle.LONG1 + bytes([15]) + value.to_bytes(15, "little", signed=True)


def archive(data: bytes, storage: bytes = bytes(64), **options: Any) -> bytes:
    """A zip archive around the pickle `data` with one storage."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as file:
        file.writestr("x/data.pkl", data)
        file.writestr("x/data/0", storage)
    return stream.getvalue()


def view(offset: int, size: tuple[int, ...], stride: tuple[int, ...], count: int = 16) -> bytes:
    """The pickle of one tensor that views a storage of sixteen floats."""
    tuples = b"".join(b"(" + b"".join(map(integer, entries)) + b"t" for entries in (size, stride))
    return (b"\x80\x02" + TENSOR + b"(" + STORAGE.replace(b"%c", bytes([count])) + integer(offset) + tuples
            + b"\x89}tR.")


@pytest.mark.parametrize(("offset", "size", "stride"), [
    (0, (16,), (1,)), (12, (2, 2), (2, 1)), (15, (), ()), (0, (4, 4), (1, 4)), (16, (0,), (1,)),
    (0, (1, 16), (10**9, 1)), (3, (2, 1, 5), (6, 2**61, 1)),
])
def test_views_inside_of_a_storage(offset: int, size: tuple, stride: tuple, tmp_path: Path, read: Callable) -> None:
    values = torch.arange(16.0)
    (tmp_path / "x").write_bytes(archive(view(offset, size, stride), values.numpy().tobytes()))
    strides = tuple(step if length > 1 else 1 for length, step in zip(size, stride, strict=True))
    assert torch.equal(read(tmp_path / "x").content, values.as_strided(size, strides, offset))


@pytest.mark.parametrize(("offset", "size", "stride"), [
    (0, (17,), (1,)), (1, (16,), (1,)), (16, (1,), (1,)), (-1, (2,), (1,)), (0, (-1,), (1,)), (2, (2,), (-1,)),
    (0, (2, 9), (8, 1)), (0, (2,), (16,)), (0, (2**61, 8), (0, 1)), (0, (2**40,), (0,)), (0, (17,), (0,)),
    (2**63, (1,), (1,)), (2**61, (1,), (1,)), (0, (2**64 + 1,), (1,)), (0, (2, 2), (1,)), (0, (1,) * 9, (1,) * 9),
    (0, (0, 2**61), (1, 1)), (0, (2,), (2**61,)), (0, (4, 4), (2**62 // 3, 1)),
])
def test_views_outside_of_a_storage(offset: int, size: tuple, stride: tuple, refused: Callable) -> None:
    message = refused(archive(view(offset, size, stride)))
    assert "tensor" in message


@pytest.mark.parametrize(("data", "storage"), [(view(0, (1,), (1,)), bytes(63)), (view(0, (1,), (1,)), b""),
                                               (view(0, (1,), (1,), count=17), bytes(64))])
def test_storages_shorter_than_they_say(data: bytes, storage: bytes, refused: Callable) -> None:
    assert "lacks data" in refused(archive(data, storage))


def test_one_storage_seen_over_and_over(refused: Callable, memory: None) -> None:
    """A megabyte, 10 000 times: each view is a copy, so their sum has a limit."""
    count = (MEGABYTE // 4).to_bytes(4, "little")
    storage = STORAGE.replace(b"K%c", b"J" + count)
    tensor = b"h\x00h\x01R"
    arguments = b"(" + storage + b"K\x00" + b"J" + count + b"\x85K\x01\x85\x89}t"
    data = b"\x80\x02" + TENSOR + b"q\x000" + arguments + b"q\x010(" + tensor * 10_000 + b"t."
    assert "times its size" in refused(archive(data, bytes(MEGABYTE)))


def test_one_text_encoded_over_and_over(refused: Callable, memory: None) -> None:
    data = b"\x80\x02c_codecs\nencode\nq\x000X" + struct.pack("<I", MEGABYTE) + b"a" * MEGABYTE
    data += b"X\x06\x00\x00\x00latin1\x86q\x010(" + b"h\x00h\x01R" * 10_000 + b"t."
    assert "times its size" in refused(data)


def test_one_stream_read_over_and_over(refused: Callable, memory: None) -> None:
    inner = pickle.dumps(b"a" * MEGABYTE, 3)
    data = b"\x80\x03ctorch.storage\n_load_from_bytes\nq\x000B" + struct.pack("<I", len(inner)) + inner
    assert "storage that holds something else" in refused(data + b"\x85q\x010h\x00h\x01R.")
    inner = MAGIC + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2) + b"\x80\x02"
    inner += STORAGE.replace(b"K%c", b"J\x00\x00\x04\x00") + b"." + pickle.dumps(["0"], 2)
    inner += struct.pack("<q", MEGABYTE // 4) + bytes(MEGABYTE)
    data = b"\x80\x03ctorch.storage\n_load_from_bytes\nq\x000B" + struct.pack("<I", len(inner)) + inner
    assert "times its size" in refused(data + b"\x85q\x010(" + b"h\x00h\x01R" * 10_000 + b"t.")


def test_one_list_made_a_dict_over_and_over(refused: Callable, memory: None) -> None:
    pairs = b"".join(b"K" + bytes([k]) + b"N\x86" for k in range(100)) * 100
    data = b"\x80\x02ccollections\nOrderedDict\nq\x000(" + pairs + b"l\x85q\x010(" + b"h\x00h\x01R" * 100_000 + b"t."
    assert "steps" in refused(data)


@pytest.mark.parametrize("operation", [b"]", b"(", b"\x8f", b"]\x94", b"}NNs", b"\x8c\x01a", b"]h\x00"], ids=repr)
def test_many_small_operations(operation: bytes, refused: Callable, memory: None) -> None:
    assert "steps" in refused(b"\x80\x04]q\x00" + operation * MOST_STEPS + b".")


DEEP = 200_000


@pytest.mark.parametrize("content", [
    b"\x80\x02" + b"]" * DEEP + b"a" * (DEEP - 1) + b".", b"\x80\x02)" + b"\x85" * DEEP + b".",
    b"\x80\x02" + b"}N" * (DEEP // 2) + b"N" + b"s" * (DEEP // 2) + b".", b"\x80\x02(" + b"]" * DEEP + b"l.",
    b"\x80\x02" + b"]q\x00h\x00a.", b"\x80\x02}q\x00Nh\x00s.", b"\x80\x02]q\x00h\x00\x85q\x01ah\x01.",
    b"\x80\x02" + b"cargparse\nNamespace\n)\x81" * 3 + b"q\x00bq\x01}h\x01h\x01sb.",
], ids=["lists", "tuples", "dicts", "a wide list", "a list in itself", "a dict in itself", "a tuple in its list",
        "an unhashable key"])
def test_deep_and_endless_containers(content: bytes, tmp_path: Path, read: Callable) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    if content.endswith(b"l."):
        assert read(path).content == [[]] * DEEP
        return
    with pytest.raises(UserError, match=r"deeper than|contains itself|as the key"):
        read(path)


@pytest.mark.parametrize("use", [b"}h\x00Ns.", b"\x8f(h\x00\x90.", b"(h\x00\x91.",
                                 b"cnumpy._core.numeric\n_frombuffer\n(C\x00NNh\x00tR.",
                                 b"c_codecs\nencode\nX\x01\x00\x00\x00ah\x00\x86R.",
                                 b"cnumpy\ndtype\nh\x00\x85R.", b"cbuiltins\nset\n](h\x00h\x00e\x85R.", b"h\x00)R.",
                                 b"ctorch\nSize\nh\x00\x85R\x85\x85.", b"h\x00Q.", b"h\x00b."], ids=repr)
def test_a_deep_tuple_where_text_belongs(use: bytes, refused: Callable) -> None:
    """Python hashes and compares nested tuples in C, without end."""
    assert refused(b"\x80\x04)" + b"\x85" * DEEP + b"q\x000" + use)


def test_a_tree_of_a_few_bytes_and_endless_leaves(refused: Callable) -> None:
    """Thirty lists that hold the next one ten times."""
    tree = b"\x80\x02]q\x000](" + (b"h\x00" * 10 + b"eq\x000](") * 30 + b"h\x00e."
    assert "over and over" in refused(tree)


def test_endless_text_of_a_tree_is_in_no_message(refused: Callable) -> None:
    tree = b"]q\x000](" + (b"h\x00" * 10 + b"eq\x000](") * 30 + b"h\x00e"
    content = MAGIC + b"\x80\x02" + tree + b"." + pickle.dumps({"little_endian": True}, 2)
    assert "version a list" in refused(content)
    assert refused(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00a" + tree + b"\x86R.")
    assert refused(b"\x80\x02" + tree + b")R.")


def test_numbers_that_collide(refused: Callable) -> None:
    """Integers of the same hash would make a dict quadratic."""
    step = (1 << 61) - 1
    keys = b"".join(pickle.LONG1 + bytes([12]) + (k * step).to_bytes(12, "little") + b"N" for k in range(1, 100_000))
    assert "as the key" in refused(b"\x80\x02}(" + keys + b"u.")


@pytest.mark.parametrize("content", [
    b"\x80\x02\x8b\xff\xff\xff\x7f.",
    b"\x80\x02\x8b\x00\x00\x10\x00" + b"\x01" * MEGABYTE + b".",
    b"I" + b"9" * MEGABYTE + b"\n.", b"L" + b"9" * 4000 + b"L\n.", b"\x80\x04\x8e" + b"\xff" * 8 + b".",
    b"\x80\x04\x8d" + b"\x00\x00\x00\x00\x10\x00\x00\x00" + b".",
    b"\x80\x05\x96" + b"\xff\xff\xff\xff\x00\x00\x00\x00.",
    b"\x80\x02T\xff\xff\xff\x7f.", b"\x80\x02T\xff\xff\xff\xff.", b"\x80\x02]r\xff\xff\xff\xff.h", b"p-1\n.",
    b"\x80\x02X\x05\x00\x00\x00", b"\x80\x02]p99999999999999999999\n.",
    b"\x80\x02\x8a\xff" + b"\x01" * 255 + b".",
    b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", b"\x80\x02cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R.",
    b"\x80\x09].", b"\x80", b"\x80\x02", b"\x80\x02.", b"\x80\x02a.", b"\x80\x02N0.", b"\x80\x02Nh\x07.",
    b"\x80\x02Nt.", b"\x80\x02(Nu.", b"\x80\x02N(NNu.", b"\x80\x02NN\x87.", b"\x80\x02ctorch\n.", b"\x80\x05\x97.",
    b"\x80\x05N\x98.",
    b"\x80\x02X\x03\x00\x00\x00\xed\xa0\x80.", b"\x80\x02U\x01\xff0ctorch._utils\n_rebuild_parameter\nNN\x86R)R.",
    b"\x80\x02ctorch\nFloatStorage\n.", b"\x80\x02ccollections\nOrderedDict\n.",
    b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R.",
], ids=lambda content: repr(content[:30]))
def test_damaged_pickles(content: bytes, refused: Callable, memory: None) -> None:
    assert refused(content)


def test_an_integer_is_kept_below_the_longest(tmp_path: Path, read: Callable) -> None:
    (tmp_path / "x").write_bytes(pickle.dumps([2**127, -(2**127)], 2))
    assert read(tmp_path / "x").content == [2**127, -(2**127)]


# zip archives


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_entries_are_not_unpacked(method: int, refused: Callable, memory: None) -> None:
    bomb = archive(view(0, (16,), (1,)), bytes(32 * MEGABYTE), compression=method)
    assert len(bomb) < MEGABYTE
    assert "compressed" in refused(bomb)


def test_two_entries_of_one_name(refused: Callable) -> None:
    stream = io.BytesIO(archive(view(0, (16,), (1,))))
    with zipfile.ZipFile(stream, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("x/data/0", bytes(64))
    assert "two entries" in refused(stream.getvalue())


def test_entries_that_overlap(refused: Callable) -> None:
    """Both directory entries point to the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("x/data.pkl", b"\x80\x02N.")
        file.writestr("x/data/1", bytes(4))
        file.infolist()[1].header_offset = 0
    assert "overlaps" in refused(stream.getvalue())


def test_checksums_are_looked_at(refused: Callable) -> None:
    content = bytearray(archive(view(0, (16,), (1,)), b"a" * 64))
    content[content.index(b"a" * 64) + 5] ^= 1
    assert "the checksum of x/data/0 is wrong" in refused(bytes(content))


def test_many_entries(refused: Callable) -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", *[0] * 18)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, len(entry) * 200_000, 4, 0)
    assert "entries" in refused(b"PK\x03\x04" + entry * 200_000 + end)


@pytest.mark.parametrize("names", [["a/b.txt"], ["data.pkl"], ["a/data.pkl", "b/data.pkl"], ["a/b/data.pkl"], []])
def test_other_zip_archives(names: list[str], refused: Callable) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in names:
            file.writestr(name, b"\x80\x02N.")
    assert refused(stream.getvalue())


def test_other_byte_orders(refused: Callable) -> None:
    stream = io.BytesIO(archive(view(0, (16,), (1,))))
    with zipfile.ZipFile(stream, "a") as file:
        file.writestr("x/byteorder", b"big")
    assert "big-endian" in refused(stream.getvalue())
    assert "big-endian" in refused(MAGIC + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": False}, 2))


# other formats


def packed(content: bytes, mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as file:
        entry = tarfile.TarInfo("storages")
        entry.size = len(content)
        file.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize(("content", "words"), [
    (b"", "is empty"), (gzip.compress(b"x", mtime=0), "gzip"), (bz2.compress(b"x"), "bzip2"),
    (lzma.compress(b"x"), "xz"), (packed(b"x", "w"), "tar"),
    (b"<!DOCTYPE html><html>", "web page"), (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"), (b"hello, world\n", "no format"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"), (zlib.compress(b"x"), "no format"), (b"\xff\xd8\xff\xe0", "JPEG"),
    (b"\x00" * 100, "no format"), (bytes(range(256)), "no format"),
])
def test_other_formats_are_refused_by_name(content: bytes, words: str, refused: Callable) -> None:
    assert words in refused(content)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_foreign(tmp_path / "nothing")
    with pytest.raises(UserError, match="is no file"):
        read_foreign(tmp_path)
    with pytest.raises(UserError, match="is no file"):
        read_foreign("/dev/zero")


@pytest.mark.parametrize("content", [
    b'{"a": ', b"[1, NaN]", b"[Infinity]", b"[1e999]", b"[-1e999]", b"[" * 100_000, b'{"a":' * 100_000,
    b"[" + b"9" * 10_000 + b"]", b'["\\ud800"]', b'{"\\udfff": 1}', b"{}x", b'{"\xff": 1}',
    b"[" + b" " * (9 * MEGABYTE) + b"]", b"[" * 150 + b"]" * 150,
], ids=lambda content: repr(content[:12]))
def test_damaged_json(content: bytes, refused: Callable, memory: None) -> None:
    assert refused(content)


def array(header: bytes, data: bytes = bytes(16), version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


@pytest.mark.parametrize("content", [
    b"\x93NUMPY", b"\x93NUMPY\x01\x00", array(b""), array(b"{}"), array(b"[" * 60_000), array(b"9" * 60_000),
    array(b"{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }"),
    array(b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"),
    array(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }"),
    array(b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999, 99999999999999999,), }"),
    array(b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99999999999999999, 9999999999999999,), }", b""),
    array(b"{'descr': '<f3', 'fortran_order': False, 'shape': (4,), }"),
    array(b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }"),
    array(b"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (4,), }"),
    array(b"{'descr': '<f4', 'fortran_order': 1, 'shape': (4,), }"), b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    array(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1, " * 3000 + b"4), }"),
], ids=lambda content: repr(content[10:70]))
def test_damaged_npy(content: bytes, refused: Callable, memory: None) -> None:
    assert refused(content)


def tensors(header: bytes, data: bytes = bytes(16)) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize("content", [
    tensors(b"{}x"), tensors(b"{"), struct.pack("<Q", 2**40) + b"{}", tensors(b'{"a":' * 10_000),
    tensors(b'{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}}'),
    tensors(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,99]}}'),
    tensors(b'{"a":{"dtype":"X","shape":[4],"data_offsets":[0,16]}}'),
    tensors(b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}', b""),
    tensors(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}'), tensors(b"{" + b" " * (3 * MEGABYTE) + b"}"),
    tensors(b'{"__metadata__":{"a":1}}', b""),
], ids=lambda content: repr(content[8:60]))
def test_damaged_safetensors(content: bytes, refused: Callable, memory: None) -> None:
    assert refused(content)


def test_json_has_kilobytes(tmp_path: Path, read: Callable, refused: Callable) -> None:
    """Values of Python take many times the text."""
    text = b'["' + b"x" * (MEGABYTE - 4) + b'"]'
    (tmp_path / "x").write_bytes(text)
    assert len(read(tmp_path / "x").content[0]) == MEGABYTE - 4
    assert "is a text of 1048577 bytes" in refused(text + b" ")


def test_every_byte_that_is_cut_off_is_missed(tmp_path: Path, read: Callable) -> None:
    """Both formats of torch.save, a pickle with tensors, arrays: no shorter file is read as if it were whole."""
    content = {"a": torch.arange(10.0), "b": {"c": (1, "x")}}
    torch.save(content, tmp_path / "zip")
    torch.save(content, tmp_path / "legacy", _use_new_zipfile_serialization=False)
    (tmp_path / "pickle").write_bytes(pickle.dumps(content, 4))
    np.save(tmp_path / "array.npy", np.arange(10.0))
    for path in (tmp_path / name for name in ("zip", "legacy", "pickle", "array.npy")):
        whole = path.read_bytes()
        for length in range(0, len(whole), 7):
            path.write_bytes(whole[:length])
            with pytest.raises(UserError):
                read(path)


def test_stubs_are_compared_by_identity() -> None:
    """So that no comparison or hash walks into what a file brings."""
    assert Stub("a") != Stub("a")
    assert len({Stub("a"), Stub("a")}) == 2
