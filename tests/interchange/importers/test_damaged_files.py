"""Whatever befalls a file: it is converted, or refused with one message, quickly, and nothing else happens."""

import json
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from anycost.errors import UserError
from anycost.interchange.foreign import Foreign, Stub, read_foreign
from anycost.interchange.importers import convert
from anycost.interchange.weights import read_weights

COUNT = 10_000
ROOM = 2 << 30  # bytes of address space beyond what the process has; the files have 30 kB


@pytest.fixture
def files(originals: ModuleType, foreign_files: ModuleType, tmp_path: Path) -> dict[str, Path]:
    """A small file of each kind."""

    def part(name: str, state: dict[str, torch.Tensor]) -> object:
        return foreign_files.tf_network(name, arrays(state))

    shape = originals.Shape((4, 4, 2), latent=4, mapping=1)
    folder = tmp_path / "whole"
    folder.mkdir()
    skip, nvidia, tensorflow = originals.skip, originals.nvidia, originals.tensorflow
    checkpoint = {
        "g": floats(skip.generator(shape)), "g_ema": floats(skip.generator(shape)),
        "d": floats(skip.discriminator(shape, 2, True, True)), "g_optim": {"state": {}}, "epoch": 3, "fid": 2.5,
    }  # fmt: skip
    torch.save(checkpoint, folder / "trainer.pt")
    torch.save(checkpoint | {"latent_avg": torch.zeros(4)}, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({f"{k:02}_Attribute_{k}": torch.randn(1, 4) for k in range(5)}, folder / "boundary.pt")
    save_file(floats(skip.generator(shape)), folder / "state.safetensors")
    buffers = ("w_avg", "noise_const", "resample_filter")
    networks = {
        key: foreign_files.module(floats(state), {}, buffers)
        for key, state in (("G", nvidia.generator(shape)), ("D", nvidia.discriminator(shape)),
                           ("G_ema", nvidia.generator(shape)))
    }  # fmt: skip
    foreign_files.write_pickle(folder / "nvidia.pkl", networks)
    generators = [tensorflow.generator(shape) for _ in range(2)]
    g, gs = (
        foreign_files.tf_network("G", arrays(own), {"mapping": part("M", mapping), "synthesis": part("S", synthesis)})
        for own, mapping, synthesis in generators
    )
    foreign_files.write_pickle(folder / "tensorflow.pkl", (g, part("D", tensorflow.discriminator(shape)), gs))
    np.save(folder / "latents.npy", np.ones((2, 10, 4), np.float32))
    entries = {
        "15G": {"channels": [8, 8, 8, 8], "res": 8, "dist": 0.1, "macs": 10**9},
        "18G": {"channels": [4, 8, 8, 4]},
    }
    (folder / "evolved.json").write_text(json.dumps(entries))
    return {path.name: path for path in folder.iterdir()}


def floats(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: x.float().contiguous() for name, x in state.items()}


def arrays(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: x.float().numpy() for name, x in state.items()}


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Claims of more than `ROOM` fail as they would on a small machine."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_the_whole_files_convert(files: dict[str, Path]) -> None:
    kinds = {name: convert(path).header.kind for name, path in files.items()}
    assert kinds == {
        "trainer.pt": "training", "legacy.pt": "training", "boundary.pt": "directions", "nvidia.pkl": "training",
        "state.safetensors": "generator", "tensorflow.pkl": "training", "latents.npy": "latents",
        "evolved.json": "architectures",
    }  # fmt: skip


def outcome(source: Path | Foreign, output: Path) -> str:
    """`refused` or `converted`; anything else that happens is raised."""
    try:
        imported = convert(source)
    except UserError as error:
        message = str(error)
        assert ("the file" if isinstance(source, Foreign) else str(source)) in message
        assert message.isprintable(), "one line, and nothing that steers a terminal"
        assert len(message) < 1000
        return "refused"
    imported.write(output)
    if imported.suffix == ".safetensors":
        tensors, header = read_weights(output)
        assert asdict(header) == json.loads(json.dumps(asdict(imported.header)))
        assert all(torch.isfinite(x).all() for x in tensors.values())
    else:
        assert json.loads(output.read_text()) == imported.architectures
    return "converted"


# ---- content that lies: whole files, in which something is not what it should be

JUNK: list[object] = [
    None, True, 0, -1, 2**70, 1.5, float("nan"), "", "skip", b"", [], {}, (), set(), [1, 3, 3, 1], ["a", "b"], {1: 2},
    {"": None}, torch.float32, Stub("Generator"), Stub("Network", (), {"variables": [1]}), torch.ones(()),
    torch.ones(0), torch.ones(1), torch.ones(4, 4), torch.ones(2, 0, 3), torch.ones(1, 2, 3, 4, 5),
    torch.full((4,), torch.inf), torch.ones(4, dtype=torch.int64), torch.ones(4, dtype=torch.bool),
    torch.ones(4, dtype=torch.float16),
]  # fmt: skip


def corrupted(value: Any, rng: random.Random, depth: int = 0) -> Any:
    """A copy of `value` (tensors shared) in which one thing is replaced, dropped, doubled, renamed or turned."""
    if isinstance(value, Stub):
        return replace(value, state=corrupted(value.state, rng, depth + 1))
    sequence = value if isinstance(value, list | tuple) else ()
    entries = list(value.items() if isinstance(value, dict) else enumerate(sequence))
    if not entries or (depth > 1 and rng.random() < 0.2):
        if isinstance(value, torch.Tensor) and rng.random() < 0.5:
            return rng.choice((value[None], value.flatten(), value.mT if value.dim() > 1 else value, value.repeat(2)
                               if value.dim() == 1 else value[:1], value.int(), value * torch.nan))  # fmt: skip
        return rng.choice(JUNK)
    place = rng.randrange(len(entries))
    key, inner = entries[place]
    kind = rng.choice(("inner", "inner", "inner", "inner", "drop", "rename", "double"))
    if kind == "inner":
        entries[place] = (key, corrupted(inner, rng, depth + 1))
    elif kind == "drop":
        del entries[place]
    elif kind == "rename":
        entries[place] = (rng.choice((0, None, "", b"x", f"{key}x", str(key)[:-1], "convs.7.conv.weight")), inner)
    else:
        entries.append((f"{key}.1", inner))
    return dict(entries) if isinstance(value, dict) else type(value)(inner for _, inner in entries)


@pytest.mark.parametrize("name", [
    "trainer.pt", "boundary.pt", "state.safetensors", "nvidia.pkl", "tensorflow.pkl", "latents.npy",
])
def test_content_that_lies(files: dict[str, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    whole, seen = read_foreign(files[name]), Counter[str]()
    for number in range(200):
        content = corrupted(whole.content, random.Random(number))
        seen[outcome(replace(whole, content=content), tmp_path / "output")] += 1
    assert seen.total() == 200
    assert seen["refused"] > 20, "much of a file, such as the other generator, is not needed"


# ---- damaged bytes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_damaged_files(
    files: dict[str, Path],
    mutate: Callable[[bytes, random.Random], bytes],
    tmp_path: Path,
    little_memory: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # thousands of them would be what takes the time
    damaged, seen, slowest = tmp_path / "damaged", Counter[str](), 0.0
    for number in range(COUNT):
        name, path = list(files.items())[number % len(files)]
        damaged.write_bytes(mutate(path.read_bytes(), random.Random(number)))
        start = time.process_time()
        seen[f"{name} {outcome(damaged, tmp_path / 'output')}"] += 1
        slowest = max(slowest, time.process_time() - start)
    assert slowest < 5
    assert seen.total() == COUNT
    for name in files:
        assert seen[f"{name} refused"] > COUNT / len(files) / 4, seen
