"""Files as others write them, made without their code: NVIDIA's persistent modules and the TensorFlow networks.

Tests get this module as the fixture `foreign_files` (`conftest.py` beside it):

    def test_something(foreign_files, tmp_path):
        network = foreign_files.module(
            {"synthesis.b4.const": torch.randn(8, 4, 4), "mapping.w_avg": torch.zeros(16), ...},  # as NVIDIA names them
            classes={"": "Generator", "synthesis": "SynthesisNetwork", "mapping": "MappingNetwork"},  # others: "Module"
            buffers=("w_avg", "noise_const", "resample_filter"),  # last parts of names that are buffers
            init_kwargs={"": {"z_dim": 16, "c_dim": 0}, "synthesis": {...}},    # by path, as `classes`
            attributes={"": {"img_resolution": 64}},                            # plain attributes of modules, by path
        )
        foreign_files.write_pickle(tmp_path / "nvidia.pkl", {"G": network, "D": ..., "G_ema": ..., "augment_pipe": None,
                                   "training_set_kwargs": foreign_files.easy_dict(path="x.zip")})
        tf = foreign_files.tf_network("G", {"latent_avg": array, ...}, components={"synthesis": tf_network(...)}, ...)
        foreign_files.write_pickle(tmp_path / "tf.pkl", (tf, tf, tf), protocol=4)

The names in such files (`torch_utils.persistence._reconstruct_persistent_obj`, `dnnlib.util.EasyDict`,
`dnnlib.tflib.network.Network`) exist as modules only while a file is written.
"""

import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

SOURCE = "raise SystemExit('the source in this file was run')\n"


class EasyDict(dict):
    """Written as `dnnlib.util.EasyDict`."""

    __module__, __qualname__ = "dnnlib.util", "EasyDict"


class Network:
    """Written as `dnnlib.tflib.network.Network`, with the state that is given."""

    __module__, __qualname__ = "dnnlib.tflib.network", "Network"

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


class _Rebuild:
    """Stands for a function of another package; pickles write it by name."""

    def __init__(self, name: str) -> None:
        self.__module__, _, self.__qualname__ = name.rpartition(".")
        self.__name__ = self.__qualname__

    def __reduce__(self) -> str:
        return self.__qualname__

    def __call__(self, *_: Any) -> None:
        raise AssertionError("a name of the file was called")


_reconstruct = _Rebuild("torch_utils.persistence._reconstruct_persistent_obj")


class Persistent(nn.Module):
    """A module that is written as `torch_utils.persistence` writes its classes: name, source, `__dict__`."""

    def __init__(self, class_name: str, init_kwargs: Mapping[str, Any], source: str) -> None:
        super().__init__()
        self._class_name = class_name
        self._source = source
        self._init_args = ()
        self._init_kwargs = EasyDict(init_kwargs)

    def __reduce__(self) -> tuple:
        state = {key: value for key, value in self.__dict__.items() if key not in ("_class_name", "_source")}
        meta = {"type": "class", "version": 6, "module_src": self._source, "class_name": self._class_name,
                "state": state}
        return _reconstruct, (meta,), None

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return self.__reduce__()


def module(
    tensors: Mapping[str, Tensor],
    classes: Mapping[str, str],
    buffers: Sequence[str] = (),
    init_kwargs: Mapping[str, Mapping[str, Any]] | None = None,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
    source: str = SOURCE,
) -> Persistent:
    """A tree of persistent modules that holds `tensors` by their flat names; see the top of this file."""
    made: dict[str, Persistent] = {}

    def at(path: str) -> Persistent:
        if path not in made:
            made[path] = Persistent(classes.get(path, "Module"), (init_kwargs or {}).get(path, {}), source)
            if path:
                parent, _, name = path.rpartition(".")
                at(parent).add_module(name, made[path])
        return made[path]

    at("")
    for name, tensor in tensors.items():
        path, _, last = name.rpartition(".")
        if last in buffers:
            at(path).register_buffer(last, tensor)
        else:
            at(path).register_parameter(last, nn.Parameter(tensor, requires_grad=tensor.is_floating_point()))
    for path, entries in (attributes or {}).items():
        for key, value in entries.items():
            setattr(at(path), key, value)
    return made[""]


def easy_dict(**entries: Any) -> EasyDict:
    """`dnnlib.EasyDict`."""
    return EasyDict(entries)


def tf_network(
    name: str,
    variables: Mapping[str, np.ndarray],
    components: Mapping[str, Network] | None = None,
    static_kwargs: Mapping[str, Any] | None = None,
    build_func_name: str = "G_main",
    version: int = 4,
    source: str = SOURCE,
) -> Network:
    """A network of `dnnlib.tflib` with its own variables, in the fields that versions 4 and 5 write."""
    return Network({
        "version": version, "name": name, "static_kwargs": dict(static_kwargs or {}),
        "components": dict(components or {}), "build_module_src": source, "build_func_name": build_func_name,
        "variables": list(variables.items()),
    })


@contextmanager
def foreign_modules() -> Iterator[None]:
    """The names that others' files use, importable as long as this lasts."""
    modules = {}
    for name, entries in {
        "dnnlib": {}, "dnnlib.util": {"EasyDict": EasyDict}, "dnnlib.tflib": {},
        "dnnlib.tflib.network": {"Network": Network}, "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": _reconstruct},
    }.items():
        modules[name] = ModuleType(name)
        modules[name].__dict__.update(entries)
    with patch.dict(sys.modules, modules):
        yield


def write_pickle(path: Path, content: Any, protocol: int = 3) -> Path:
    """Pickle `content` as those programs do: protocol 3 (Python 3.7), or 4."""
    with foreign_modules(), path.open("wb") as file:
        pickle.dump(content, file, protocol=protocol)
    return path


def write_torch(path: Path, content: Any, **options: Any) -> Path:
    """`torch.save`, where the content may use such names."""
    with foreign_modules():
        torch.save(content, path, **options)
    return path
