"""The project's own weights format: safetensors with a JSON header (space, what is inside, training card, licence)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.files import atomic_write
from anycost.networks.generator import Generator

FORMAT = 1
_KEY = "anycost"


@dataclass(frozen=True)
class Header:
    """What a weights file says of itself.

    Args:
        kind: `training` (EMA generator and discriminator of a finished stage) or `embedded` (the packaged network).
        space: fields of the `ArchitectureSpace`, where there is a generator.
        model: latent_dim and mapping_layers, where there is a generator.
        card: how it was trained: stage, data, images, seed, version.
    """

    kind: str
    space: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    licence: str = "not stated"
    format: int = FORMAT


def write_weights(path: Path | str, tensors: dict[str, Tensor], header: Header) -> None:
    """Write `tensors` and `header`, whole or not at all."""
    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(dense, metadata={_KEY: json.dumps(header.__dict__, sort_keys=True)})
    with atomic_write(path) as file:
        file.write(content)


def read_weights(path: Path | str) -> tuple[dict[str, Tensor], Header]:
    """Tensors and header of a file written by `write_weights`; anything else is a `UserError` that says why."""
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
        return tensors, _header(Path(path), file.metadata() or {})


def read_header(path: Path | str) -> Header:
    """The header alone, without reading the tensors; the same errors as `read_weights`."""
    with _opened(path) as file:
        return _header(Path(path), file.metadata() or {})


@contextmanager
def _opened(path: Path | str) -> Iterator[Any]:
    path = Path(path)
    if not path.is_file():
        raise UserError(f"weights file {path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file: {error}") from error


def _header(path: Path, metadata: dict[str, str]) -> Header:
    if _KEY not in metadata:
        raise UserError(f"{path} is a safetensors file of another program: it has no {_KEY!r} header")
    entries = json.loads(metadata[_KEY])
    if entries.get("format") != FORMAT:
        raise UserError(f"{path} has format {entries.get('format')}; this version of anycost reads format {FORMAT}")
    return Header(**entries)


def build_generator(tensors: dict[str, Tensor], header: Header) -> Generator:
    """The generator of a weights file, in evaluation mode, in float32."""
    if not header.space:
        raise UserError(f"this weights file holds no generator (kind={header.kind})")
    entries: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in header.space.items()
    }
    with torch.random.fork_rng(devices=[]):
        generator = Generator(ArchitectureSpace(**entries), **header.model)
    prefix = "generator."
    generator.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    return generator.eval().requires_grad_(False)
