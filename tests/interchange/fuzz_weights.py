"""Damaged and lying weights files through `anycost.load` and `anycost info`, in a process whose memory is measured.

    python tests/interchange/fuzz_weights.py COUNT SEED

Prints a JSON object: how many files were loaded and refused, the slowest in seconds, the growth of the peak of memory
in MB. A file that was loaded must be exactly what it says; anything but a `UserError` ends the program.
"""

import contextlib
import importlib.util
import io
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

import anycost
from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.errors import UserError
from anycost.interchange import weights
from anycost.interchange.header import Header
from anycost.networks.discriminator import Discriminator
from anycost.networks.embedded import SHIPPED
from anycost.networks.generator import Generator

_spec = importlib.util.spec_from_file_location("mutations", Path(__file__).parents[1] / "mutations.py")
assert _spec is not None
assert _spec.loader is not None
mutations = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mutations)

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2, 3, 4, 8, 16, 17, 32, 64, 512, 2**14, 2**31, 2**63, 10**30, 0.5, 1.0, 1e-300, 1e300,
    "", "16", "full", "\x1b[2J", "x" * 10_000, [], [1.0], [0.5, 1.0], [1], [[]], [8] * 6, [32] * 6, [1e9] * 6, {},
    {"4": [32, 32]}, {"a": {"b": [1]}}, "ema", "raw", "generator", "training", "latents", "encoder",
)  # fmt: skip


def sources(folder: Path) -> list[tuple[dict[str, Tensor], Header]]:
    """A generator, a training's end with its discriminator, directions, and the embedded network."""
    torch.manual_seed(0)
    space = ArchitectureSpace(16, 0.0625, 32, 2)
    generator = Generator(space, latent_dim=8, mapping_layers=1)
    tensors = weights.generator_tensors(generator)
    card = {"stage": "ada_ch", "data": "faces", "images": 4000, "weights": "ema"}
    discriminator = {f"discriminator.{name}": x for name, x in Discriminator(space, 2, True).state_dict().items()}
    return [
        ({**tensors, "truncation_mean": torch.zeros(8)}, weights.generator_header(generator, card=card)),
        (tensors | discriminator, weights.generator_header(generator, "training", card)),
        ({"smiling": torch.zeros(6, 8)}, Header("directions", card={"layers": [1, 2]})),
        weights.read_weights(SHIPPED),
    ]


def sealed(tensors: dict[str, Tensor], text: str) -> bytes:
    """A file with any header, whose sha256 fits: a lie, not damage."""
    dense = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    digest = weights._digest(text, dense)
    return save(dense, metadata={"anycost": f'{text[:-1]}, "sha256": "{digest}"}}' if text.endswith("}") else text})


def bent_header(tensors: dict[str, Tensor], text: str, rng: random.Random) -> bytes:
    """Its text damaged as bytes, or one to three of its values replaced."""
    if rng.random() < 0.3:
        return sealed(tensors, mutations.mutate(text.encode(), rng).decode(errors="replace"))
    entries = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = rng.choice([entries, *(one for one in entries.values() if isinstance(one, dict))])
        place[rng.choice([*place, "new"])] = rng.choice(ODD)
    return sealed(tensors, json.dumps(entries))


def bent_tensors(tensors: dict[str, Tensor], text: str, rng: random.Random) -> bytes:
    """One to three tensors lost, added, reshaped, of another type, or not finite."""
    changed = dict(tensors)
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(list(changed) or ["first"])
        shape = rng.choice(((), (0,), (1,), (8,), (32,), (2**20, 0), (1, 32, 4, 4)))
        dtype = rng.choice((torch.float16, torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64,
                            torch.float8_e4m3fn))  # fmt: skip
        value = changed.get(name, torch.zeros(1))
        choices = [None, torch.zeros(shape), value.real.to(dtype), torch.full_like(value, float("nan"))
                   if value.is_floating_point() else value]  # fmt: skip
        chosen = rng.choice(choices)
        if chosen is None:
            changed.pop(name, None)
        else:
            changed[rng.choice((name, name, f"{name}x", "generator.mapping.layers.0.bias"))] = chosen
    return sealed(changed, text)


def is_as_it_says(file: Path, generator: Generator) -> bool:
    """Whether the generator has the numbers of the file and makes finite pictures of the right shape."""
    tensors = load_file(file)
    same = all(torch.equal(x, tensors[f"generator.{name}"].float()) for name, x in generator.state_dict().items())
    side = generator.space.resolution
    images = generator(torch.zeros(1, generator.latent_dim) + 0.5)
    return same and images.shape == (1, 3, side, side)


def info(file: Path) -> int:
    """The exit status of `anycost info`, in words and as JSON; what it prints must be printable."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        statuses = {main(["info", f"weights={file}", f"json={form}"]) for form in ("false", "true")}
    assert all(line.isprintable() for line in printed.getvalue().split("\n")), printed.getvalue()
    (status,) = statuses
    return status


def tried(file: Path) -> bool:
    """Whether `load` took the file; `info` must agree where it is a generator."""
    status = info(file)
    assert status in (0, 2)
    try:
        generator = anycost.load(file)
    except UserError as error:
        message = str(error)
        assert message.isprintable(), message
        assert len(message) < 1000, message
        return False
    assert status == 0
    assert is_as_it_says(file, generator)
    return True


def run(count: int, seed: int) -> dict[str, float]:
    loaded, slowest = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        originals = []
        for tensors, header in sources(Path(folder)):
            weights.write_weights(file, tensors, header)
            originals.append((tensors, json.dumps(header.__dict__, sort_keys=True), file.read_bytes()))
            tried(file)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(seed, seed + count):
            rng = random.Random(number)
            tensors, text, content = rng.choice(originals)
            kind = rng.choice((bent_header, bent_tensors, None))
            file.write_bytes(kind(tensors, text, rng) if kind else mutations.mutate(content, rng))
            start = time.process_time()
            try:
                loaded += tried(file)
            except BaseException:
                print(f"mutant {number}", file=sys.stderr)
                raise
            slowest = max(slowest, time.process_time() - start)
        growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"loaded": loaded, "refused": count - loaded, "slowest_s": slowest, "peak_growth_mb": growth}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]))))
