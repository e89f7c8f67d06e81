"""Where pictures come from: a folder, a zip, or a selection of either (LMDB: `lmdb_source.py`).

A source is a list in natural order of the names (`2.jpg` before `10.jpg`, so that the index of a picture of
CelebA-HQ is its number [A §14 trap 25]). It opens its files anew in every process, so it survives forking and
pickling to loader workers.
"""

import hashlib
import json
import os
import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image

from anycost.data.decode import SUFFIXES, decode, unusable_errors, upright_size
from anycost.errors import UserError

Label = int | list[float] | None
LABELS_FILE = "dataset.json"


class PictureSource(ABC):
    """Encoded pictures of any size and kind, by index."""

    path: Path

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, k: int) -> str:
        """Name of picture `k` inside `path`."""

    @abstractmethod
    def open(self, k: int) -> IO[bytes]:
        """The encoded bytes of picture `k`."""

    @abstractmethod
    def fingerprint(self) -> str:
        """16 hex digits that change when the list, the sizes or (zip) the checksums of the pictures change."""

    def labels(self, k: int) -> Label:
        """What `dataset.json` says of picture `k`: a class number, a vector, or None."""
        return None

    def encoded(self, k: int) -> bytes:
        """The bytes of picture `k`; raises `UnusableImage` where they cannot be read."""
        with unusable_errors(), self.open(k) as file:
            return file.read()

    def read(self, k: int) -> Image.Image:
        """Picture `k`, upright RGB at its own size (rules: `decode.py`); raises `UnusableImage`."""
        return decode(self.encoded(k))

    def size(self, k: int) -> tuple[int, int]:
        """Upright (width, height) of picture `k` from its header; raises `UnusableImage`."""
        with unusable_errors(), self.open(k) as file:
            return upright_size(file)


class FolderSource(PictureSource):
    """Pictures of a folder and the folders below it (links followed, hidden names left out)."""

    def __init__(self, path: Path | str, subset: str | None = None) -> None:
        """Raise `UserError` where `subset` is no folder with pictures, or `dataset.json` is malformed."""
        self.path = Path(path)
        walked = (
            (Path(root) / file).relative_to(self.path).as_posix()
            for root, _, files in os.walk(self.path, followlinks=True)
            for file in files
        )
        self._names = select_pictures(walked, subset, self.path)
        labels = self.path / LABELS_FILE
        self._labels = parse_labels(labels.read_bytes(), labels) if labels.is_file() else {}

    def __len__(self) -> int:
        return len(self._names)

    def name(self, k: int) -> str:
        return self._names[k]

    def open(self, k: int) -> IO[bytes]:
        return (self.path / self._names[k]).open("rb")

    def labels(self, k: int) -> Label:
        return self._labels.get(self._names[k])

    def fingerprint(self) -> str:
        return digest(f"{name}\0{_file_size(self.path / name)}" for name in self._names)


class ZipSource(PictureSource):
    """Pictures of a zip: the NVIDIA layout with `dataset.json`, or plain folders."""

    def __init__(self, path: Path | str, subset: str | None = None) -> None:
        """Raise `UserError` where `subset` is no folder with pictures, or `dataset.json` is malformed."""
        self.path = Path(path)
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        archive = self._archive()
        self._infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        self._names = select_pictures(self._infos, subset, self.path)
        has_labels = LABELS_FILE in self._infos
        self._labels = parse_labels(archive.read(LABELS_FILE), self.path / LABELS_FILE) if has_labels else {}

    def __len__(self) -> int:
        return len(self._names)

    def name(self, k: int) -> str:
        return self._names[k]

    def open(self, k: int) -> IO[bytes]:
        return self._archive().open(self._infos[self._names[k]])

    def labels(self, k: int) -> Label:
        return self._labels.get(self._names[k])

    def fingerprint(self) -> str:
        infos = (self._infos[name] for name in self._names)
        return digest(f"{info.filename}\0{info.file_size}\0{info.CRC}" for info in infos)

    def _archive(self) -> zipfile.ZipFile:
        """The archive as opened by this process: a handle shared with a parent would share its position."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), zipfile.ZipFile(self.path))
        return self._opened[1]

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_opened": None}


class Selection(PictureSource):
    """Some pictures of another source, in the given order: the first so many, or a split."""

    def __init__(self, source: PictureSource, indices: Sequence[int]) -> None:
        self.path, self._source, self._indices = source.path, source, indices

    def __len__(self) -> int:
        return len(self._indices)

    def name(self, k: int) -> str:
        return self._source.name(self._indices[k])

    def open(self, k: int) -> IO[bytes]:
        return self._source.open(self._indices[k])

    def labels(self, k: int) -> Label:
        return self._source.labels(self._indices[k])

    def fingerprint(self) -> str:
        return digest([self._source.fingerprint(), *map(str, self._indices)])


def select_pictures(names: Iterable[str], subset: str | None, path: Path) -> list[str]:
    """The names that are pictures and lie in the folder `subset`, in natural order; `UserError` lists the folders."""
    pictures = [name for name in names if _is_picture(PurePosixPath(name))]
    if subset is not None:
        inside = subset.strip("/") + "/"
        chosen = [name for name in pictures if name.startswith(inside)]
        if not chosen:
            raise UserError(f"subset={subset} is not a folder with pictures in {path}; {_folders(pictures)}")
        pictures = chosen
    return sorted(pictures, key=natural_key)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key under which runs of digits compare as numbers, and `01` and `1` have an order too."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


def parse_labels(text: bytes, where: Path) -> dict[str, Label]:
    """`{"labels": [[name, label], ...]}` (null where there are none) as a dict; `UserError` names `where`."""
    try:
        return dict(json.loads(text).get("labels") or [])
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f'{where} is malformed: expected {{"labels": [[name, label], ...]}}') from error


def digest(lines: Iterable[str]) -> str:
    """16 hex digits of a list of strings."""
    state = hashlib.blake2b(digest_size=8)
    for line in lines:
        state.update(line.encode(errors="surrogateescape") + b"\n")
    return state.hexdigest()


def _is_picture(name: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
    return name.suffix.lower() in SUFFIXES and not hidden


def _folders(pictures: Iterable[str], shown: int = 20) -> str:
    folders = sorted({PurePosixPath(name).parent.as_posix() for name in pictures} - {"."}, key=natural_key)
    more = f" and {len(folders) - shown} more" if len(folders) > shown else ""
    return f"it has {', '.join(folders[:shown])}{more}" if folders else "it has no folders with pictures"


def _file_size(path: Path) -> int:
    """Bytes of the file, -1 where it is a dangling link."""
    try:
        return path.stat().st_size
    except OSError:
        return -1
