"""The two formats of `torch.save`, and plain pickles, which may hold PyTorch's older format inside."""

import zlib
from collections.abc import Callable
from io import BytesIO
from struct import unpack, unpack_from
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import torch

from anycost.interchange.foreign.known import KNOWN, StorageType
from anycost.interchange.foreign.limits import Limits, Refusal, shown
from anycost.interchange.foreign.machine import Known, Machine
from anycost.interchange.foreign.tensors import Storage

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_MOST_ENTRIES = 100_000
_LOCAL_HEADER = 30


def read_archive(content: bytes, limits: Limits) -> Any:
    """The value in a zip archive of `torch.save`; damaged ones raise what `zipfile` raises, others `Refusal`."""
    if content.count(b"PK\x01\x02") > _MOST_ENTRIES:
        raise Refusal(f"is a zip archive of more than {_MOST_ENTRIES} entries")
    listed = ZipFile(BytesIO(content)).infolist()
    folder = _folder([entry.filename for entry in listed])
    entries = _views(memoryview(content), listed)
    if bytes(entries.get(f"{folder}byteorder", b"little")).strip() != b"little":
        raise Refusal("was written on a big-endian machine; load and save it on a usual one")

    def storage(identifier: Any) -> Storage:
        dtype, key, count = _declared(identifier)
        data = entries.get(f"{folder}data/{key}")
        if data is None or len(data) < count * dtype.itemsize:
            raise Refusal(f"lacks data: storage {shown(key)} should hold {count} values of {dtype}")
        return Storage(dtype, data[: count * dtype.itemsize])

    return _machine(BytesIO(entries[f"{folder}data.pkl"]), limits, storage).run()


def _folder(names: list[str]) -> str:
    """Where in the archive everything lies; a `Refusal` for archives of other programs."""
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise Refusal("is a TorchScript archive, which is a program; ask for the state dict of its module")
    if names and all(name.endswith(".npy") for name in names):
        raise Refusal("is an .npz archive of numpy; save the array that is meant with numpy.save as an .npy file")
    found = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(found) != 1:
        raise Refusal("is a zip archive, but not one of torch.save: it has no data.pkl")
    return found[0].removesuffix("data.pkl")


def _views(content: memoryview, listed: list[ZipInfo]) -> dict[str, memoryview]:
    """The entries of a zip archive without compression, where they lie; their checksums are right."""
    entries: dict[str, memoryview] = {}
    end = 0
    for entry in sorted(listed, key=lambda entry: entry.header_offset):
        name = shown(entry.filename)
        if entry.compress_type != ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise Refusal(f"has a compressed or encrypted entry, {name}; torch.save writes none")
        if entry.filename in entries:
            raise Refusal(f"has two entries of the name {name}")
        if entry.header_offset < end:
            raise Refusal(f"has an entry, {name}, that overlaps with another")
        mark, name_length, extra_length = unpack_from("<4s22xHH", content, entry.header_offset)
        start = entry.header_offset + _LOCAL_HEADER + name_length + extra_length
        end = start + entry.file_size
        if mark != b"PK\x03\x04" or end > len(content):
            raise Refusal(f"has an entry, {name}, that is not where it should be")
        if zlib.crc32(content[start:end]) != entry.CRC:
            raise Refusal(f"is damaged: the checksum of {name} is wrong")
        entries[entry.filename] = content[start:end]
    return entries


def read_stream(content: bytes, limits: Limits) -> tuple[str, Any]:
    """The value of a pickle, or of PyTorch's format before 1.6, which starts as a pickle of its magic number.

    Returns its kind, `torch` or `pickle`, and the value.
    """
    stream = BytesIO(content)
    value = _machine(stream, limits).run()
    is_torch = type(value) is int and value == _MAGIC
    if is_torch:
        value = _read_legacy(stream, memoryview(content), limits)
    rest = len(content) - stream.tell()
    if rest:
        raise Refusal(f"has {rest} bytes behind its end")
    return ("torch" if is_torch else "pickle"), value


def _read_legacy(stream: BytesIO, content: memoryview, limits: Limits) -> Any:
    """What follows the magic number: version, machine, the value, the keys of storages, and their values.

    The value comes before the bytes of its tensors, so it is read twice: to learn the types of the storages, and to
    make the tensors.
    """
    version, system = _machine(stream, limits).run(), _machine(stream, limits).run()
    if type(version) is not int or version != _VERSION or not isinstance(system, dict):
        raise Refusal(f"is a PyTorch file of unknown version {shown(version)}")
    if system.get("little_endian") is not True:
        raise Refusal("was written on a big-endian machine; load and save it on a usual one")
    start = stream.tell()
    declared: dict[str, tuple[torch.dtype, int]] = {}

    def declare(identifier: Any) -> Storage:
        dtype, key, count = _declared(identifier)
        if declared.setdefault(key, (dtype, count)) != (dtype, count):
            raise Refusal(f"declares storage {shown(key)} twice, and differently")
        return Storage(dtype, None)

    _machine(stream, limits, declare).run()
    keys = _machine(stream, limits).run()
    if not isinstance(keys, list) or len(keys) != len(declared) or set(declared) != {k for k in keys if type(k) is str}:
        raise Refusal("lists other storages than its tensors use")
    found: dict[str, Storage] = {}
    for key in keys:
        dtype, count = declared[key]
        first = stream.tell() + 8
        last = first + count * dtype.itemsize
        (held,) = unpack("<q", stream.read(8))
        if held != count or last > len(content):
            raise Refusal(f"lacks data: storage {shown(key)} should hold {count} values of {dtype}")
        found[key] = Storage(dtype, content[first:last])
        stream.seek(last)
    end = stream.tell()
    stream.seek(start)
    value = _machine(stream, limits, lambda identifier: found[_declared(identifier)[1]]).run()
    stream.seek(end)
    return value


def _nested(limits: Limits, data: Any) -> Storage:
    """`torch.storage._load_from_bytes`: how plain pickles, NVIDIA's among them, hold storages."""
    if not isinstance(data, bytes):
        raise Refusal("has a storage of something else than bytes")
    with limits.nested(len(data)):
        value = read_stream(data, limits)[1]
    if not isinstance(value, Storage):
        raise Refusal("has a storage that holds something else")
    return value


_KNOWN = {**KNOWN, ("torch.storage", "_load_from_bytes"): Known("torch.storage._load_from_bytes", _nested)}


def _machine(stream: BytesIO, limits: Limits, storage: Callable[[Any], Any] | None = None) -> Machine:
    return Machine(stream, limits, _KNOWN, storage)


def _declared(identifier: Any) -> tuple[torch.dtype, str, int]:
    """Type, key and number of values of the storage that a persistent id names."""
    if not isinstance(identifier, tuple) or len(identifier) not in (5, 6) or identifier[0] != "storage":
        raise Refusal("refers to something else than the storage of a tensor (whole modules are not read)")
    _, kind, key, _, count, *view = identifier
    if not isinstance(kind, StorageType) or not isinstance(key, str) or type(count) is not int or count < 0:
        raise Refusal("refers to a storage without type, key and size")
    if any(part is not None for part in view):
        raise Refusal("has views of storages, as PyTorch before 0.4 wrote them; load and save it with a newer one")
    return kind.dtype, key, count

