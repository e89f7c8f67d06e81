"""What comes out of others' files: plain values, tensors, and stubs for classes known by name only."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from anycost.interchange.foreign.limits import Refusal, shown

_DEEPEST = 100  # levels of containers; NVIDIA's networks take 16
_LARGEST = 500_000  # values, counted as often as they are referred to
_LEAVES = (type(None), bool, int, float, bytes, bytearray, torch.dtype, Tensor)
_KEYS = (str, int, float, bytes, type(None))


@dataclass(eq=False)
class Stub:
    """An object of a class that is known by its name and never built.

    Args:
        name: `argparse.Namespace`, `pathlib.PosixPath`, `datetime.date`, `dnnlib.tflib.network.Network` ..., or
            the class name of an object that NVIDIA's `torch_utils.persistence` wrote (`Generator`, ...).
        args: what the class would have been called with.
        state: what the object would have held, mostly a dict: for modules `_parameters`, `_buffers`, `_modules`.
        origin: the global that stands in the file; tells NVIDIA's persistent objects from others of that name.
    """

    name: str
    args: tuple = ()
    state: Any = None
    origin: str = ""


@dataclass(frozen=True)
class Foreign:
    """A file of others.

    Args:
        kind: `torch` (both formats of `torch.save`), `pickle`, `safetensors`, `json` or `npy`.
        content: None, bool, int, float, str, bytes, dict, list, tuple, set, `torch.dtype`, `torch.Tensor`, `Stub`, and
            nothing else; a tree of at most 100 levels without cycles, in which the same object may occur twice. Keys of
            dicts and members of sets are text, numbers, bytes or None; texts can be printed.
            Tensors are dense, on the CPU, own their memory and need no gradient; numpy's arrays are tensors too.
        identity: sha256 of the file in hex.
        metadata: the text entries of a safetensors header.
    """

    kind: str
    content: Any
    identity: str
    metadata: dict[str, str] = field(default_factory=dict)


def check_key(key: Any) -> None:
    """Refuse keys of dicts and members of sets that cost more than a glance to hash.

    Nested tuples would overflow the C stack, and long integers can be chosen to collide.
    """
    if not isinstance(key, _KEYS) or (isinstance(key, int) and abs(key) >= 1 << 60):
        raise Refusal(f"has a {type(key).__name__} as the key of a dict or the member of a set")


def check_content(content: Any) -> None:
    """Raise `Refusal` unless `content` is as `Foreign` says: walking through it recursively is safe then."""
    sizes: dict[int, int] = {}  # of what hangs below a container, by its id
    depths: dict[int, int] = {}
    path: set[int] = set()
    todo = [(content, False)]
    while todo:
        value, below_done = todo.pop()
        key = id(value)
        children = _children(value)
        if below_done:
            path.discard(key)
            sizes[key] = 1 + sum(sizes.get(id(child), 1) for child in children)
            depths[key] = 1 + max((depths.get(id(child), 0) for child in children), default=0)
            if sizes[key] > _LARGEST or depths[key] > _DEEPEST:
                raise Refusal(f"nests containers deeper than {_DEEPEST} levels or repeats them over and over")
        elif key in path:
            raise Refusal("holds a container that contains itself")
        elif children and key not in sizes:
            path.add(key)
            todo.append((value, True))
            todo.extend((child, False) for child in children)


def _children(value: Any) -> list[Any]:
    """What a container holds."""
    if isinstance(value, Stub):
        return [value.args, value.state]
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, set):
        return list(value)
    if isinstance(value, str):
        value.encode()  # raises for half of a surrogate pair, which no message could print
    elif not isinstance(value, _LEAVES):
        raise Refusal(f"holds {shown(getattr(value, 'name', value))} where a value or a tensor should be")
    return []
