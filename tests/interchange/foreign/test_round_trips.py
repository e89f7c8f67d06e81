"""What `torch.save` and pickle write comes back to the bit, as torch.load gives it."""

import argparse
import datetime
import hashlib
import pickle
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import ModuleType
from typing import Any

import lpips
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from anycost.interchange.foreign import Stub, read_foreign

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
          torch.int8, torch.uint8, torch.bool]


def same(ours: Any, theirs: Any) -> None:
    """Equal values of equal types; tensors to the bit, dense, in memory of their own."""
    if isinstance(theirs, Tensor):
        assert type(ours) is Tensor
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.is_contiguous()
        assert not ours.requires_grad
        theirs = torch.empty(theirs.shape, dtype=theirs.dtype).copy_(theirs.detach())
        assert torch.equal(ours.reshape(-1).view(torch.uint8), theirs.reshape(-1).view(torch.uint8))
        assert ours.untyped_storage().nbytes() == ours.numel() * ours.element_size()
    elif isinstance(theirs, dict):
        assert type(ours) is dict
        assert list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        assert type(ours) is (list if isinstance(theirs, list) else tuple)
        assert len(ours) == len(theirs)
        for our, their in zip(ours, theirs, strict=True):
            same(our, their)
    elif isinstance(theirs, argparse.Namespace):
        assert ours.name == "argparse.Namespace"
        same(ours.state, vars(theirs))
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


def trained() -> dict[str, Any]:
    """What a trainer saves: state dicts with their _metadata, an optimiser's state, options."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    adam = torch.optim.Adam(network.parameters(), lr=0.002, betas=(0.0, 0.99))
    network(torch.randn(5, 3, 4, 4)).sum().backward()
    adam.step()
    return {"g_ema": network.state_dict(), "g_optim": adam.state_dict(), "epoch": 3, "fid": 12.5,
            "args": argparse.Namespace(size=64, path="x.lmdb", channels=[512, 256], ada=None, augment=True)}


def views() -> dict[str, Any]:
    base = torch.randn(6, 8)
    shared = torch.arange(48.0)
    return {
        "base": base, "transposed": base.t(), "strided": base[1:5:2, ::3], "offset": base.view(-1)[7:19],
        "scalar": base[2, 3], "shared": shared, "part": shared[40:], "again": shared, "empty": torch.empty(0, 3),
        "parameter": nn.Parameter(base[:2]),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        **{str(dtype): (base * 40).abs().to(dtype) for dtype in DTYPES},
        "special": torch.tensor([float("nan"), float("-inf"), -0.0, 1e-45]),
    }


def plain() -> dict[str, Any]:
    return {"none": None, "numbers": [True, False, -1, 2**40, -(2**70), 1.5, float("inf")], 3: "key", None: "none",
            "texts": ("", "plain", "Grüße \N{SNOWMAN}", "x" * 300), "bytes": b"\x00\xff" * 200, b"bytes": 1,
            "nested": {"a": [({},)]}, "set": {1, "b"}, "dtype": torch.float16, "ordered": OrderedDict(a=1, b={})}


SAVES: dict[str, Callable[[Any, Path], None]] = {
    "zip": lambda content, path: torch.save(content, path),
    "legacy": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    "zip of protocol 4": lambda content, path: torch.save(content, path, pickle_protocol=4),
    **{f"pickle {protocol}": lambda content, path, protocol=protocol: path.write_bytes(pickle.dumps(content, protocol))
       for protocol in (2, 3, 4, 5)},
}


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("content", [trained, views, plain])
def test_what_is_saved_comes_back_to_the_bit(content: Callable, save: str, tmp_path: Path, read: Callable) -> None:
    path = tmp_path / "named.anything"
    SAVES[save](content(), path)
    theirs = pickle.loads(path.read_bytes()) if save.startswith("pickle") else torch.load(path, weights_only=False)
    foreign = read(path)
    same(foreign.content, theirs)
    assert foreign.kind == ("pickle" if save.startswith("pickle") else "torch")
    assert foreign.identity == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("save", SAVES)
def test_what_options_hold_beside_networks(save: str, tmp_path: Path, read: Callable) -> None:
    """Paths and times are stubs by name, defaultdicts plain dicts; a network beside them is read."""
    zone = datetime.timezone(datetime.timedelta(hours=1))
    moment = datetime.datetime(2021, 3, 4, 5, 6, 7, tzinfo=zone)
    deep = Path("/", *"abcdefghijklmnopqrstuvwxyz")
    content = {
        "g_ema": {"w": torch.arange(3.0)}, "losses": defaultdict(list, a=[1.0]), "count": defaultdict(int),
        "paths": [deep, PurePosixPath("a/b"), PureWindowsPath("c:/d")],
        "times": [moment, moment.date(), moment.time(), zone, moment - moment],
    }  # fmt: skip
    SAVES[save](content, tmp_path / "x")
    found = read(tmp_path / "x").content
    same({key: found[key] for key in ("g_ema", "losses", "count")}, {
        "g_ema": content["g_ema"], "losses": {"a": [1.0]}, "count": {}})
    stubs = [*found["paths"], *found["times"]]
    assert all(isinstance(stub, Stub) for stub in stubs)
    assert [stub.name.rpartition(".")[2] for stub in stubs] == [
        "PosixPath", "PurePosixPath", "PureWindowsPath", "datetime", "date", "time", "timezone", "timedelta"]
    assert stubs[0].args == deep.parts


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_types_whose_storages_are_untyped(dtype: torch.dtype, tmp_path: Path, read: Callable) -> None:
    tensor = torch.arange(12).view(3, 4).t().to(dtype)
    torch.save(tensor, tmp_path / "x")
    same(read(tmp_path / "x").content, tensor)


@pytest.mark.parametrize("name", ["alex", "squeeze", "vgg"])
def test_files_that_pytorch_wrote_in_2018(name: str, read: Callable) -> None:
    """lpips brings its weights as it published them: the older format, with storages of a GPU."""
    path = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{name}.pth"
    same(read(path).content, dict(torch.load(path, map_location="cpu")))


def test_results_do_not_depend_on_each_other(tmp_path: Path, read: Callable) -> None:
    """Views of one storage are copies: writing into one leaves the others as they were."""
    base = torch.zeros(10)
    torch.save([base, base[2:5]], tmp_path / "x")
    first, second = read(tmp_path / "x").content
    first.fill_(1)
    assert second.eq(0).all()


def test_an_object_that_occurs_twice_is_read_once(tmp_path: Path, read: Callable) -> None:
    tensor, entries = torch.ones(3), [1]
    torch.save([tensor, tensor, entries, entries], tmp_path / "x")
    content = read(tmp_path / "x").content
    assert content[0] is content[1]
    assert content[2] is content[3]


def test_safetensors_and_json(tmp_path: Path, read: Callable) -> None:
    from safetensors.torch import save_file

    tensors = {"a": torch.randn(3, 4), "b.c": torch.zeros(2).half(), "e": torch.empty(0)}
    save_file(tensors, tmp_path / "x", metadata={"author": "somebody"})
    foreign = read(tmp_path / "x")
    assert (foreign.kind, foreign.metadata) == ("safetensors", {"author": "somebody"})
    assert foreign.content.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(foreign.content[name], tensor)
    (tmp_path / "y").write_text(' \n{"18G": [1, 2.5, "x", null, {"a": true}]}')
    assert read(tmp_path / "y").content == {"18G": [1, 2.5, "x", None, {"a": True}]}
    assert read(tmp_path / "y").kind == "json"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.lists(st.integers(1, 4), min_size=1, max_size=4), seed=st.integers(0, 10**6), data=st.data())
def test_any_view_of_a_storage(size: list[int], seed: int, data: st.DataObject, tmp_path: Path) -> None:
    """Random permutations, steps and offsets, against what torch itself makes of the file."""
    tensor = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    tensor = tensor.permute(data.draw(st.permutations(range(len(size)))))
    for dimension, length in enumerate(tensor.shape):
        first = data.draw(st.integers(0, length - 1))
        tensor = tensor[(slice(None),) * dimension + (slice(first, None, data.draw(st.integers(1, 3))),)]
    for legacy in (False, True):
        torch.save(tensor, tmp_path / "x", _use_new_zipfile_serialization=legacy)
        same(read_foreign(tmp_path / "x").content, torch.load(tmp_path / "x"))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_nvidia_s_persistent_modules(protocol: int, foreign_files: ModuleType, tmp_path: Path, read: Callable) -> None:
    tensors = {"synthesis.b4.const": torch.randn(8, 4, 4), "synthesis.b4.conv1.noise_strength": torch.tensor(0.5),
               "mapping.fc0.weight": torch.randn(5, 5), "mapping.w_avg": torch.randn(5)}
    network = foreign_files.module(
        tensors, {"": "Generator", "synthesis": "SynthesisNetwork", "mapping": "MappingNetwork"}, buffers=("w_avg",),
        init_kwargs={"": {"z_dim": 5, "mapping_kwargs": foreign_files.easy_dict(num_layers=2)}},
        attributes={"": {"img_resolution": 64}, "mapping": {"gain": 1 / np.sqrt(4), "clamp": np.bool_(False)}},
    )
    content = {"G": network, "G_ema": network, "augment_pipe": None,
               "training_set_kwargs": foreign_files.easy_dict(path="data.zip", use_labels=False)}
    found = read(foreign_files.write_pickle(tmp_path / "x.pkl", content, protocol)).content
    stub = found["G"]
    assert found["G_ema"] is stub
    assert found["training_set_kwargs"] == {"path": "data.zip", "use_labels": False}
    assert isinstance(stub, Stub)
    assert (stub.name, stub.origin) == ("Generator", "torch_utils.persistence._reconstruct_persistent_obj")
    assert stub.state["_init_kwargs"] == {"z_dim": 5, "mapping_kwargs": {"num_layers": 2}}
    assert stub.state["img_resolution"] == 64
    mapping = stub.state["_modules"]["mapping"].state
    assert (mapping["gain"], mapping["clamp"]) == (0.5, False)
    flat = {}

    def walk(module: Stub, prefix: str) -> None:
        for kind in ("_parameters", "_buffers"):
            flat.update({prefix + name: tensor for name, tensor in module.state[kind].items()})
        for name, child in module.state["_modules"].items():
            walk(child, f"{prefix}{name}.")

    walk(stub, "")
    assert flat.keys() == tensors.keys()
    for name, tensor in tensors.items():
        same(flat[name], tensor)


def test_networks_of_tensorflow(foreign_files: ModuleType, tmp_path: Path, read: Callable) -> None:
    weight = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype("f4")
    synthesis = foreign_files.tf_network("G_synthesis", {"4x4/Conv/weight": weight}, build_func_name="G_synthesis")
    network = foreign_files.tf_network("G", {"dlatent_avg": np.zeros(5, "f4")}, {"synthesis": synthesis},
                                       {"resolution": 64, "fmap_base": 16 << 10})
    path = foreign_files.write_pickle(tmp_path / "x.pkl", (network, network, network), protocol=4)
    content = read(path).content
    assert [stub.name for stub in content] == ["dnnlib.tflib.network.Network"] * 3
    assert content[0].state["static_kwargs"] == {"resolution": 64, "fmap_base": 16384}
    inner = content[2].state["components"]["synthesis"].state
    assert inner["build_func_name"] == "G_synthesis"
    ((name, tensor),) = inner["variables"]
    assert name == "4x4/Conv/weight"
    same(tensor, torch.from_numpy(weight))


def test_other_containers_become_plain_ones(tmp_path: Path, read: Callable) -> None:
    (tmp_path / "x").write_bytes(pickle.dumps([Counter("aab"), frozenset((1, 2)), bytearray(b"ab"), torch.Size((2, 3)),
                                               torch.device("cuda", 1)], 4))
    assert read(tmp_path / "x").content == [{"a": 2, "b": 1}, {1, 2}, b"ab", (2, 3), "cuda:1"]
