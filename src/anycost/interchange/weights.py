"""The project's own weights format: safetensors with a JSON header (space, what is inside, training card, licence).

A file is read in three steps, each of which trusts nothing: the header is checked, then the names, shapes and types
of the tensors against what the header promises, and only then is memory taken. docs/weights.md describes the format.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from anycost.errors import UserError
from anycost.files import atomic_write
from anycost.interchange.header import (
    FORMAT,
    GENERATORS,
    NOT_STATED,
    Header,
    header_text,
    ladder_entry,
    parse_header,
    shown,
)
from anycost.interchange.skeleton import (
    DTYPES,
    GENERATOR,
    TRUNCATION_MEAN,
    Shape,
    check_tensors,
    generator_skeleton,
)
from anycost.networks.generator import Generator

__all__ = [
    "FORMAT",
    "Header",
    "build_generator",
    "generator_header",
    "generator_tensors",
    "read_header",
    "read_weights",
    "write_weights",
]

_KEY = "anycost"
_SEALED = re.compile(r'(\{.*), "sha256": "([0-9a-f]{64})"\}', re.DOTALL)
_LONGEST_HEADER = 2**22  # bytes of all names, shapes and metadata: a hundred times what a generator's file has
_OTHER_DTYPES = ("I64", "I32", "I16", "I8", "U8", "BOOL")


# ---- files


def write_weights(path: Path | str, tensors: Mapping[str, Tensor], header: Header) -> None:
    """Write `tensors` and `header`, whole or not at all. The same content gives the same bytes."""
    # Cloned: tensors may share their memory (a view, tied weights), files may not.
    dense = {name: x.detach().cpu().clone(memory_format=torch.contiguous_format) for name, x in tensors.items()}
    text = header_text(header)
    if header.format >= 2:
        text = f'{text[:-1]}, "sha256": "{_digest(text, dense)}"}}'
    content = save(dense, metadata={_KEY: text})
    with atomic_write(path) as file:
        file.write(content)


def read_weights(path: Path | str) -> tuple[dict[str, Tensor], Header]:
    """Tensors (in memory of their own) and header of a file written by `write_weights`.

    Anything else is a `UserError` that says why, raised before memory is taken for tensors that do not fit.
    """
    path = Path(path)
    with _opened(path) as (file, text, digest):
        header = parse_header(text, str(path))
        _check_inventory(header, _inventory(file), path)
        # Copied: the file's own pages would change, or vanish, when somebody writes over it.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no iterator)
    if header.format >= 2 and digest != _digest(text, tensors):
        raise UserError(f"{path} is damaged: its content does not fit the sha256 that it was written with")
    return tensors, header


def read_header(path: Path | str) -> Header:
    """The header alone, without a look at the tensors; the same errors as `read_weights`."""
    with _opened(Path(path)) as (_, text, _):
        return parse_header(text, str(path))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, str, str | None]]:
    """The file as safetensors opens it, its header of ours as JSON, and the sha256 that the header ends with."""
    if not path.is_file():
        raise UserError(f"weights file {path} does not exist")
    try:
        _check_length(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if _KEY not in metadata:
                raise UserError(
                    f"{path} is a safetensors file of another program: it has no {_KEY!r} header; "
                    "anycost convert reads some of those"
                )
            sealed = _SEALED.fullmatch(metadata[_KEY])
            yield file, *((sealed[1] + "}", sealed[2]) if sealed else (metadata[_KEY], None))
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: there is no permission to") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file: {shown(str(error), 200)}") from error


def _check_length(path: Path) -> None:
    """Refuse before anything is parsed what cannot be a weights file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        begins = file.read(1)
    if begins != b"{":
        raise UserError(
            f"{path} is not a whole safetensors file; files of other programs are read by "
            f"anycost convert source={path.name}"
        )
    if length > min(_LONGEST_HEADER, path.stat().st_size - 8):
        raise UserError(f"{path} is not a whole safetensors file: its header claims {length} bytes")


def _inventory(file: Any) -> dict[str, tuple[Shape, str]]:
    """Shape and type of each tensor, by what the file says."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
    return {name: (tuple(one.get_shape()), one.get_dtype()) for name, one in slices.items()}


def _check_inventory(header: Header, found: Mapping[str, tuple[Shape, str]], path: Path) -> None:
    if header.kind in GENERATORS:
        check_tensors(header, found, str(path))
        return
    for name, (_, kind) in found.items():
        if kind not in DTYPES and kind not in _OTHER_DTYPES:
            raise UserError(f"{path}: {shown(name)} is of type {shown(kind)}, which no weights file has")


def _digest(header: str, tensors: Mapping[str, Tensor]) -> str:
    """sha256 of the header and of each tensor's name, type, shape and bytes, in the order of the names."""
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


# ---- generators


def generator_header(
    generator: Generator,
    kind: str = "generator",
    card: Mapping[str, Any] | None = None,
    licence: str = NOT_STATED,
) -> Header:
    """What every writer of a generator says of it; the card gets the generator's `ladder`."""
    model = {"latent_dim": generator.latent_dim, "mapping_layers": len(generator.mapping.layers)}
    card = {**(card or {}), "ladder": ladder_entry(generator.space)}
    return Header(kind, asdict(generator.space), model, card, licence)


def generator_tensors(generator: Generator) -> dict[str, Tensor]:
    """The tensors of a generator by their names in the file, its truncation mean included where it has one."""
    tensors = {f"{GENERATOR}{name}": tensor for name, tensor in generator.state_dict().items()}
    if generator.truncation_mean is not None:
        tensors[TRUNCATION_MEAN] = generator.truncation_mean
    return tensors


def build_generator(tensors: Mapping[str, Tensor], header: Header) -> Generator:
    """The generator of a weights file, in evaluation mode, in float32, with parameters of its own.

    Raises `UserError` where `header` describes no generator or `tensors` are not those of the one it describes.
    """
    types = {dtype: name for name, dtype in DTYPES.items()}
    found = {name: (tuple(x.shape), types.get(x.dtype, str(x.dtype))) for name, x in tensors.items()}
    check_tensors(header, found, "this set of weights")
    generator = generator_skeleton(header)
    state = {
        # The layout is the constructor's, channels-last for convolutions: formats keep none.
        name: torch.empty_strided(shape.shape, shape.stride()).copy_(tensors[f"{GENERATOR}{name}"])
        for name, shape in generator.state_dict().items()
    }
    generator.load_state_dict(state, assign=True)
    if TRUNCATION_MEAN in tensors:
        generator.truncation_mean = tensors[TRUNCATION_MEAN].float().clone()
    return generator.eval().requires_grad_(False)
