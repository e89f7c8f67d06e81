"""Weights by the names that users give: a file, a run folder, a pipeline's folder, or a repository of the hub."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from anycost.configuration.stage_schema import PIPELINE
from anycost.errors import UserError
from anycost.interchange.header import GENERATORS, Header
from anycost.interchange.hub import hub_name, is_cached, pull
from anycost.interchange.weights import build_generator, read_weights
from anycost.networks.generator import Generator

log = logging.getLogger(__name__)

WEIGHTS = "weights.safetensors"
_OF_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".pkl", ".npy", ".npz", ".json", ".onnx", ".pt2")


def find_weights(name: Path | str, option: str = "weights") -> Path:
    """The weights file that `name` means: itself, that of a run folder, of a pipeline's last finished stage, or pulled.

    A path that exists wins over a name on the hub, and so does one whose first folder exists or that ends as files do:
    what was meant is then a path. Raises `UserError`, which names `option`, where there are no weights.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if not path.exists():
        return _pulled(str(name), path, option)
    for folder in (path, *(path / stage for stage in reversed(PIPELINE))):
        if (folder / WEIGHTS).is_file():
            return folder / WEIGHTS
    if not any((path / entry).exists() for entry in ("config.yaml", *PIPELINE)):
        raise UserError(f"{option}={path} is no run folder: it has no {WEIGHTS} and no config.yaml; name a run")
    raise UserError(f"{option}={path} is a folder without {WEIGHTS}: its run has not finished a stage yet")


def _pulled(name: str, path: Path, option: str) -> Path:
    wanted = hub_name(name)
    looks_here = Path(path.parts[0]).exists() or path.suffix.lower() in _OF_FILES
    if wanted is None or (not wanted.explicit and looks_here):
        raise UserError(
            f"{option}={path} does not exist; give a weights file, the folder of a finished run, or a repository of "
            "the hub: hf://OWNER/NAME"
        )
    try:
        if not wanted.explicit and not is_cached(wanted):
            log.warning("no file or folder %s here; asking the hub", name)
        return pull(wanted)
    except UserError as error:
        here = "" if wanted.explicit else " is no file or folder here, and as a repository of the hub"
        raise UserError(f"{option}={name}{here}: {error}") from error


def weights_identity(path: Path) -> str:
    """16 hex digits of the file's content: what records name the weights by."""
    digest = hashlib.blake2b(digest_size=8)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def open_generator(name: Path | str) -> tuple[Generator, Header]:
    """The generator that `find_weights` finds, in evaluation mode, with what its file says of itself.

    Raises `UserError` for weights that are not numbers: nothing made with them would be.
    """
    file = find_weights(name)
    tensors, header = read_weights(file)
    if header.kind not in GENERATORS:
        raise UserError(f"weights={file} holds no generator: it is of kind {header.kind}")
    broken = not_finite(tensors)
    if broken:
        more = f" and {len(broken) - 1} others" if len(broken) > 1 else ""
        raise UserError(f"weights={file}: {broken[0]}{more} hold values that are not finite; its training went wrong")
    return build_generator(tensors, header), header


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold infinities or what is no number."""
    return [
        name for name, tensor in tensors.items()
        if tensor.is_floating_point() and tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all()
    ]  # fmt: skip
