"""ONNX Runtime Web, from its npm package: fetched once, checked against a hash kept here, and laid into the cache."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from anycost.errors import UserError
from anycost.files import atomic_write

VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""As the registry states it for this version (`npm view onnxruntime-web@1.30.0 dist.integrity`)."""
LIBRARY = "dist/ort.wasm.bundle.min.mjs"
WASM = "dist/ort-wasm-simd-threaded.wasm"
"""CPU alone, with SIMD; one thread needs no special headers of a server."""
_FILES = (LIBRARY, WASM, "package.json")  # the last one says that the folder is whole
_NAME = f"onnxruntime-web@{VERSION}"
_SECONDS = 600


def onnxruntime_web(folder: str | None, cache: Path) -> Path:
    """The folder of the unpacked package: `folder` where the user names one, else that in `cache`, fetched if needed.

    Raises `UserError` where it cannot be had, or is not what it should be.
    """
    if folder is not None:
        return _given(Path(folder))
    kept = cache / f"onnxruntime-web-{VERSION}"
    if not (kept / _FILES[-1]).is_file():
        with tempfile.TemporaryDirectory() as aside:
            _unpack(_checked(_fetch(Path(aside))), kept)
    return kept


def version_of(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text(encoding="utf-8"))["version"])


def _given(folder: Path) -> Path:
    if missing := [name for name in _FILES if not (folder / name).is_file()]:
        raise UserError(
            f"onnxruntime_web={folder} lacks {', '.join(missing)}; give the folder that holds the package.json of an "
            f"unpacked onnxruntime-web (made with version {VERSION})"
        )
    return folder


def _fetch(folder: Path) -> Path:
    npm = shutil.which("npm")
    remedy = f"or unpack that package by hand (npm pack {_NAME}) and add onnxruntime_web=FOLDER"
    if npm is None:
        raise UserError(f"format=web needs {_NAME} and finds no npm to fetch it with: install Node.js, {remedy}")
    command = [npm, "pack", _NAME, "--pack-destination", str(folder), "--ignore-scripts"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS,
            env=os.environ | {"npm_config_update_notifier": "false", "npm_config_audit": "false"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UserError(f"npm pack {_NAME} took more than {_SECONDS} s; look after the network, {remedy}") from error
    found = list(folder.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        said = next((line for line in done.stderr.splitlines() if "error" in line.lower()), f"status {done.returncode}")
        raise UserError(f"npm pack {_NAME} failed ({said.strip()}); look after the network, {remedy}")
    return found[0]


def _checked(archive: Path) -> Path:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise UserError(
            f"the registry of npm delivered another {_NAME} than the one this version of anycost was tested with: "
            f"sha512-{digest} instead of {INTEGRITY}; see `npm config get registry`"
        )
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as package:
        for name in _FILES:
            member = package.extractfile(f"package/{name}")
            assert member is not None, "the hash was right"
            with atomic_write(folder / name) as file:
                file.write(member.read())
