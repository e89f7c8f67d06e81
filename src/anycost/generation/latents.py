"""Latents from files: NumPy arrays and the project's own files, read through a memory map and checked as a whole."""

import logging
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anycost.errors import UserError
from anycost.generation.styles import NO_TRUNCATION, Styles, Truncation, code_styles
from anycost.interchange.weights import read_weights
from anycost.networks.generator import Generator

log = logging.getLogger(__name__)

_CHUNK = 1024  # codes checked at a time
_LARGEST_ARRAY = 1 << 28  # bytes unpacked of an archive; a projected face has 36 kB


def read_latents(
    path: Path | str, generator: Generator, latents_in: str = "w", option: str = "latents"
) -> NDArray[np.floating]:
    """Codes `[N, 1 or num_styles, latent_dim]` of a `.npy`, `.npz` or `.safetensors` file, in the file's float type.

    Accepted are `(N, latent_dim)`, `(N, 1, latent_dim)`, `(latent_dim,)` and, with `latents_in="w"`,
    `(N, num_styles, latent_dim)`, and `(num_styles, latent_dim)` as the one projected face of the official code.
    float16 to float64. An archive is one of NVIDIA's projector, with the array `w`. Raises `UserError`, which names
    `option`, for any other shape or type, for values that float32 does not hold, and for damaged files.
    """
    name = f"{option}={path}"
    array = _open(Path(path).expanduser(), name)
    if array.dtype.kind != "f":
        raise UserError(f"{name} holds {array.dtype}; floating-point numbers are needed, such as float32")
    codes = _shaped(array, name, generator, latents_in)
    _check_values(codes, name)
    return codes


def latent_styles(
    generator: Generator, codes: NDArray[np.floating], latents_in: str, truncation: Truncation = NO_TRUNCATION
) -> Styles:
    """The people of codes `[N, 1 or num_styles, latent_dim]`; the i-th has noise seed i."""

    def batch(start: int, stop: int) -> Tensor:
        return code_styles(generator, to_tensor(codes[start:stop]), latents_in, truncation)

    return Styles([f"latent{index:04d}" for index in range(len(codes))], range(len(codes)), batch)


def to_tensor(codes: NDArray[np.floating]) -> Tensor:
    """float32 in memory of its own, whatever type and byte order the file has."""
    return torch.from_numpy(np.array(codes, dtype=np.float32, order="C"))


def _open(path: Path, name: str) -> NDArray:
    if not path.is_file():
        raise UserError(f"{name} is no file; give FILE.npy, or FILE.safetensors of kind latents")
    if path.suffix == ".safetensors":
        return _open_own(path, name)
    kind = "archive of an array w" if zipfile.is_zipfile(path) else ".npy file"
    try:
        return _open_archive(path, name) if zipfile.is_zipfile(path) else np.lib.format.open_memmap(path, mode="r")
    except UserError:
        raise
    except Exception as error:  # a damaged header makes NumPy raise nearly every built-in type
        raise UserError(f"{name} is not a whole {kind} of numbers: {error}") from error


def _open_archive(path: Path, name: str) -> NDArray:
    """The array `w` of an `.npz`; nothing is unpickled, and no more is unpacked than `_LARGEST_ARRAY`."""
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    if "w.npy" not in sizes:
        raise UserError(
            f"{name} is an archive without the array w that NVIDIA's projector writes; save the latents alone: "
            "numpy.save"
        )
    if sizes["w.npy"] > _LARGEST_ARRAY:
        raise UserError(f"{name}: its array w has {sizes['w.npy']} bytes; save so many latents as FILE.npy")
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["w"]


def _open_own(path: Path, name: str) -> NDArray:
    tensors, header = read_weights(path)
    if header.kind != "latents" or len(tensors) != 1:
        raise UserError(
            f"{name} is a file of kind {header.kind} with {len(tensors)} tensors; one of latents is needed"
        )
    (tensor,) = tensors.values()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _shaped(array: NDArray, name: str, generator: Generator, latents_in: str) -> NDArray:
    """As `[N, 1 or num_styles, latent_dim]`."""
    dim, layers = generator.latent_dim, generator.num_styles
    projected = latents_in == "w" and array.shape == (layers, dim)
    if projected:
        log.warning(
            "%s of shape %s is read as one W+ code; for %d codes of w give (%d, 1, %d)",
            name, array.shape, layers, layers, dim,
        )  # fmt: skip
    codes = array[None] if array.ndim == 1 or projected else array
    codes = codes[:, None] if codes.ndim == 2 else codes
    if codes.ndim != 3 or codes.shape[1] not in (1, layers) or codes.shape[2] != dim:
        raise UserError(
            f"{name} has the shape {array.shape}; this generator takes (N, {dim}), (N, {layers}, {dim}), "
            f"or ({layers}, {dim}) for one projected face"
        )
    if not len(codes):
        raise UserError(f"{name} has the shape {array.shape}: it is empty")
    if latents_in == "z" and codes.shape[1] > 1:
        raise UserError(f"{name} has the shape {array.shape}, a code for each layer: that is W+, use latents_in=w")
    return codes


def _check_values(codes: NDArray, name: str) -> None:
    for start in range(0, len(codes), _CHUNK):
        with np.errstate(over="ignore"):
            finite = np.isfinite(codes[start : start + _CHUNK].astype(np.float32)).all(axis=(1, 2))
        if not finite.all():
            first = start + int(finite.argmin())
            raise UserError(f"{name} has values that are not finite in float32, first in latent {first}")
