"""One way in: what a file is, told by its content; what is wrong with it, told to the user."""

import hashlib
import zipfile
from io import BytesIO
from itertools import islice
from pathlib import Path
from pickle import PROTO
from pickletools import genops
from struct import error as StructError
from typing import Any

from safetensors import SafetensorError

from anycost.errors import UserError
from anycost.interchange.foreign.content import Foreign, check_content
from anycost.interchange.foreign.limits import MOST_STEPS, Limits, Refusal, shown
from anycost.interchange.foreign.plain_files import is_json, is_safetensors, read_json, read_npy, read_safetensors
from anycost.interchange.foreign.torch_files import read_archive, read_stream

_LARGEST_FILE = 4 << 30  # a trainer's checkpoint of the largest StyleGAN2 has about one

# What damaged bytes raise in struct, codecs, pickletools, zipfile, json, numpy, torch and safetensors (warnings where
# Python makes errors of them). None of these runs anything; what this package checks itself is a Refusal.
_DAMAGE = (
    EOFError, IndexError, KeyError, ValueError, TypeError, OverflowError, NotImplementedError, RecursionError,
    RuntimeError, StructError, zipfile.BadZipFile, SafetensorError, Warning,
)  # fmt: skip

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "is compressed with gzip; unpack it with gunzip"),
    (0, b"BZh", "is compressed with bzip2; unpack it with bunzip2"),
    (0, b"\xfd7zXZ", "is compressed with xz; unpack it with unxz"),
    (0, b"\x28\xb5\x2f\xfd", "is compressed with Zstandard; unpack it with unzstd"),
    (0, b"7z\xbc\xaf", "is a 7z archive; unpack it"),
    (0, b"\x89HDF", "is an HDF5 file; convert it to safetensors"),
    (0, b"\x89PNG", "is a PNG picture, not weights"),
    (0, b"\xff\xd8\xff", "is a JPEG picture, not weights"),
    (0, b"version https://git-lfs", "is a pointer of Git LFS, not the file itself; fetch it with git lfs pull"),
    (0, b"<", "is a web page or XML, not the file itself (a download that asked for a click?); download it again"),
    (257, b"ustar", "is a tar archive; unpack it, or if PyTorch before 0.1.10 wrote it, save it with a newer one"),
)  # fmt: skip


def read_foreign(path: Path | str) -> Foreign:
    """What a file of others holds; its format is told from its content, and nothing in it is run.

    Reads both formats of `torch.save`, plain pickles, safetensors, JSON and `.npy`. Raises `UserError` that names the
    file and what was found, for everything else, for damaged files, and for pickles that name any global which is not
    on the allow-list (`known.py`).
    """
    path = Path(path).expanduser()
    content = _bytes(path)
    try:
        kind, value, metadata = _read(content)
        check_content(value)
    except Refusal as refusal:
        raise UserError(f"{path} {refusal}") from None
    except _DAMAGE as error:
        raise UserError(f"{path} is damaged or cut off: {shown(str(error)) or type(error).__name__}") from error
    return Foreign(kind, value, hashlib.sha256(content).hexdigest(), metadata)


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"{path} is no file" if path.exists() else f"{path} does not exist")
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise UserError(f"{path} is larger than {_LARGEST_FILE >> 30} GiB, which no checkpoint of such networks is")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _read(content: bytes) -> tuple[str, Any, dict[str, str]]:
    """Kind, value and metadata, by the reader that the first bytes ask for; what nothing here reads is a `Refusal`."""
    limits = Limits(len(content))
    if not content:
        raise Refusal("is empty")
    if content.startswith(b"PK\x03\x04"):
        return "torch", read_archive(content, limits), {}
    if content.startswith(b"\x93NUMPY"):
        return "npy", read_npy(content, limits), {}
    if is_safetensors(content):
        return "safetensors", *read_safetensors(content)
    for start, magic, explanation in _OTHERS:
        if content.startswith(magic, start):
            raise Refusal(explanation)
    if is_json(content):
        return "json", read_json(content), {}
    if content.startswith(PROTO) or _is_old_pickle(content):
        return *read_stream(content, limits), {}
    raise Refusal("is of no format that anycost reads: PyTorch, pickle, safetensors, JSON, .npy")


def _is_old_pickle(content: bytes) -> bool:
    """Protocols 0 and 1 have no mark at their beginning, but parse to an end."""
    try:
        return any(operation.name == "STOP" for operation, _, _ in islice(genops(BytesIO(content)), MOST_STEPS))
    except ValueError:
        return False
