"""Weights by the names that users give: a file, a run folder, or a pipeline's folder."""

import hashlib
from pathlib import Path

import torch

from anycost.errors import UserError
from anycost.interchange.weights import Header, build_generator, read_weights
from anycost.networks.generator import Generator

WEIGHTS = "weights.safetensors"
_PIPELINE = ("ada_ch", "multires", "stylegan2")


def find_weights(path: Path | str) -> Path:
    """The weights file that `path` means: itself, that of a run folder, or of a pipeline's last finished stage.

    Raises `UserError` where there is none.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if not path.exists():
        raise UserError(f"weights={path} does not exist; give a weights file or the folder of a finished run")
    for folder in (path, *(path / stage for stage in _PIPELINE)):
        if (folder / WEIGHTS).is_file():
            return folder / WEIGHTS
    if not any((path / name).exists() for name in ("config.yaml", *_PIPELINE)):
        raise UserError(f"weights={path} is no run folder: it has no {WEIGHTS} and no config.yaml; name a run")
    raise UserError(f"weights={path} is a folder without {WEIGHTS}: its run has not finished a stage yet")


def weights_identity(path: Path) -> str:
    """16 hex digits of the file's content: what records name the weights by."""
    digest = hashlib.blake2b(digest_size=8)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def open_generator(path: Path | str) -> tuple[Generator, Header]:
    """The generator that `find_weights` finds, in evaluation mode, with what its file says of itself.

    Raises `UserError` for weights that are not numbers: nothing made with them would be.
    """
    file = find_weights(path)
    tensors, header = read_weights(file)
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        more = f" and {len(broken) - 1} others" if len(broken) > 1 else ""
        raise UserError(f"weights={file}: {broken[0]}{more} hold values that are not finite; its training went wrong")
    return build_generator(tensors, header), header
