"""The allow-list: what stands for each global that a checkpoint of these networks may name.

Each entry is a function of this package that checks its arguments and returns plain values, tensors or stubs. None of
them imports, evaluates or calls anything that the file brings.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from anycost.interchange.foreign.content import Stub, check_key
from anycost.interchange.foreign.limits import Limits, Refusal, shown
from anycost.interchange.foreign.machine import Known, Unfinished
from anycost.interchange.foreign.tensors import from_array, number_type, strided

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"


def _dict(limits: Limits, items: Any = ()) -> dict:
    """OrderedDict and its kin, as plain dicts: empty, from a dict, or from a list of pairs."""
    pairs = items.items() if isinstance(items, dict) else items
    if not isinstance(items, dict | list | tuple):
        raise Refusal("makes a dict of something else than pairs")
    limits.step(len(items))
    result = {}
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise Refusal("makes a dict of something else than pairs")
        check_key(pair[0])
        result[pair[0]] = pair[1]
    return result


def _default_dict(limits: Limits, factory: Any = None, items: Any = ()) -> dict:
    """`collections.defaultdict`; what it would call for missing keys is left out."""
    if not isinstance(factory, Known | None):
        raise Refusal("has a defaultdict of something else than a known type")
    return _dict(limits, items)


def _set(limits: Limits, items: Any = ()) -> set:
    if not isinstance(items, list | tuple | set):
        raise Refusal("makes a set of something else than a list")
    limits.step(len(items))
    for item in items:
        check_key(item)
    return set(items)


def _encode(limits: Limits, text: Any, encoding: Any = "latin1") -> bytes:
    """Protocol 2 writes bytes as text of 256 characters with the call that turns it back."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refusal(f"would encode something as {shown(encoding)}; only bytes written as latin1 are read")
    limits.take(len(text))
    return text.encode("latin1")


def _bytes(limits: Limits, data: Any = b"") -> Any:
    """`bytes()` and `bytearray(b"...")`; a size would claim memory."""
    if not isinstance(data, bytes | bytearray):
        raise Refusal("makes bytes of something else than bytes")
    return data


def _size(limits: Limits, size: Any = ()) -> tuple:
    if not isinstance(size, tuple | list):
        raise Refusal("has a torch.Size of something else than a tuple")
    limits.step(len(size))
    return tuple(size)


def _device(limits: Limits, kind: Any, index: Any = None) -> str:
    if not isinstance(kind, str) or not isinstance(index, int | None):
        raise Refusal("has a torch.device of something else than text")
    return kind if index is None else f"{kind}:{index}"


def _tensor(limits: Limits, storage: Any, offset: Any, size: Any, stride: Any, gradient: Any = None,
            hooks: Any = None, metadata: Any = None) -> Any:
    """`_rebuild_tensor` and `_rebuild_tensor_v2`; requires_grad and hooks are left out."""
    if metadata not in (None, {}):
        raise Refusal("has a tensor that is stored negated or conjugated")
    return strided(limits, storage, offset, size, stride)


def _tensor_of_type(
    limits: Limits, storage: Any, offset: Any, size: Any, stride: Any, gradient: Any, hooks: Any, dtype: Any,
    metadata: Any = None,
) -> Any:
    """`_rebuild_tensor_v3`: the storage is untyped."""
    if not isinstance(dtype, torch.dtype) or metadata not in (None, {}):
        raise Refusal("has a tensor of an unknown type")
    return strided(limits, storage, offset, size, stride, dtype)


def _parameter(limits: Limits, data: Any, *_: Any) -> Any:
    """Parameters, as plain tensors; requires_grad, hooks and attributes are left out."""
    if not isinstance(data, torch.Tensor | None):  # None: the first reading of a legacy file
        raise Refusal("has a parameter that is no tensor")
    return data


class _Array(Unfinished):
    def finish(self, limits: Limits, state: Any) -> torch.Tensor:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refusal("has a numpy array without shape, type and bytes")
        _, shape, dtype, fortran, raw = state
        return from_array(limits, _encode(limits, raw) if isinstance(raw, str) else raw, dtype, shape, fortran)


class _NumberType(Unfinished):
    def __init__(self, code: Any) -> None:
        self.code = code

    def finish(self, limits: Limits, state: Any) -> np.dtype:
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise Refusal("has a numpy type other than numbers")
        return number_type(self.code, state[1])


_NDARRAY = Known("numpy.ndarray")


def _array(limits: Limits, subtype: Any, *_: Any) -> Unfinished:
    if subtype is not _NDARRAY:
        raise Refusal("has a numpy array of a subclass")
    limits.step(10)
    return _Array()


def _array_of_buffer(limits: Limits, buffer: Any, dtype: Any, shape: Any, order: Any) -> torch.Tensor:
    """How protocol 5 writes numpy's arrays."""
    if not isinstance(order, str):  # a deeply nested tuple must not be hashed
        raise Refusal("has a numpy array in neither C nor Fortran order")
    return from_array(limits, buffer, dtype, shape, {"C": False, "F": True}.get(order))


def _number_type(limits: Limits, code: Any, *_: Any) -> Unfinished:
    limits.step(10)
    return _NumberType(number_type(code).str[1:])


def _scalar(limits: Limits, dtype: Any, raw: Any) -> Any:
    return from_array(limits, _encode(limits, raw) if isinstance(raw, str) else raw, dtype, (), False).item()


def _persistent(limits: Limits, meta: Any) -> Stub:
    """NVIDIA's persistent objects: the class's name and the state; the source they bring is left where it is."""
    if not isinstance(meta, dict) or meta.get("type") != "class" or not isinstance(meta.get("class_name"), str):
        raise Refusal("has an object of torch_utils.persistence without class name")
    limits.step(10)
    return Stub(meta["class_name"], (), meta.get("state"), PERSISTENT)


def _stub(name: str) -> Known:
    def build(limits: Limits, *arguments: Any) -> Stub:
        limits.step(10)
        return Stub(name, arguments, None, name)

    return Known(name, build)


def _entries(known: Iterable[Known]) -> dict[tuple[str, str], Known]:
    return {(entry.name.rpartition(".")[0], entry.name.rpartition(".")[2]): entry for entry in known}


# Options that trainers save beside their networks, and what defaultdicts are of: names alone.
_OF_OPTIONS = (
    *(f"{module}.{flavour}{system}Path" for module in ("pathlib", "pathlib._local")
      for flavour in ("", "Pure") for system in ("", "Posix", "Windows")),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
)  # fmt: skip
_FACTORIES = ("list", "dict", "tuple", "int", "long", "float", "bool", "str", "unicode")

_DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "uint16",
    "uint32", "uint64",
)
_STORAGES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}


@dataclass(frozen=True)
class StorageType:
    """A class of storages: its name and the type of its values."""

    name: str
    dtype: torch.dtype


def _numpy(module: str, name: str, build: Callable[..., Any]) -> list[Known]:
    """Under the names of numpy 1 and numpy 2."""
    return [Known(f"numpy.{core}.{module}.{name}", build) for core in ("core", "_core")]


KNOWN: dict[tuple[str, str], Any] = {
    **_entries([
        Known("collections.OrderedDict", _dict),
        Known("collections.Counter", _dict),
        Known("collections.defaultdict", _default_dict),
        Known("dnnlib.util.EasyDict", _dict),
        Known("builtins.set", _set),
        Known("builtins.frozenset", _set),
        Known("builtins.bytes", _bytes),
        Known("builtins.bytearray", _bytes),
        Known("_codecs.encode", _encode),
        Known("torch.Size", _size),
        Known("torch.device", _device),
        Known("torch._utils._rebuild_tensor", _tensor),
        Known("torch._utils._rebuild_tensor_v2", _tensor),
        Known("torch._utils._rebuild_tensor_v3", _tensor_of_type),
        Known("torch._utils._rebuild_parameter", _parameter),
        Known("torch._utils._rebuild_parameter_with_state", _parameter),
        _NDARRAY,
        Known("numpy.dtype", _number_type),
        *_numpy("multiarray", "_reconstruct", _array),
        *_numpy("multiarray", "scalar", _scalar),
        *_numpy("numeric", "_frombuffer", _array_of_buffer),
        Known(PERSISTENT, _persistent),
        _stub("argparse.Namespace"),
        _stub("dnnlib.tflib.network.Network"),
        *(_stub(name) for name in _OF_OPTIONS),
        *(Known(f"builtins.{name}") for name in _FACTORIES),
    ]),
    **{("torch", name): getattr(torch, name) for name in _DTYPES},
    **{(module, name): StorageType(f"{module}.{name}", dtype)
       for module in ("torch", "torch.cuda") for name, dtype in _STORAGES.items()},
    ("torch.storage", "UntypedStorage"): StorageType("torch.storage.UntypedStorage", torch.uint8),
}
