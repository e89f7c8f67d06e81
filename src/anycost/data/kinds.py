"""What a path is, and the source that reads it."""

import zipfile
from pathlib import Path

from anycost.data.lmdb_source import LmdbSource
from anycost.data.sources import FolderSource, PictureSource, ZipSource
from anycost.errors import UserError


def detect_kind(path: Path) -> str:
    """`lmdb`, `folder` or `zip`; raises `UserError` for anything else."""
    if path.is_dir():
        return "lmdb" if (path / "data.mdb").is_file() else "folder"
    if zipfile.is_zipfile(path):
        return "zip"
    raise UserError(f"{path} is neither a folder, nor an LMDB, nor a whole zip archive")


def open_pictures(path: Path, subset: str | None = None, limit: int | None = None) -> PictureSource:
    """The source at an existing `path`; an LMDB reads only its first `limit` keys. Raises `UserError`."""
    kind = detect_kind(path)
    if kind == "folder":
        return FolderSource(path, subset)
    if kind == "zip":
        return ZipSource(path, subset)
    if subset is not None:
        raise UserError(f"subset={subset}: an LMDB has no subsets; leave it out")
    return LmdbSource(path, limit)
