"""Pictures of an LMDB in the layout of LSUN: every value is an encoded picture (needs the extra `anycost[lmdb]`)."""

import io
import os
from itertools import accumulate, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

from anycost.data.sources import PictureSource, digest
from anycost.errors import UserError

if TYPE_CHECKING:
    import lmdb

_environments: dict[Path, tuple[int, "lmdb.Environment"]] = {}
"""The process that opened it, and the environment: LMDB forbids two of one path, and use across a fork."""


class LmdbSource(PictureSource):
    """The pictures of an LMDB folder in the order of their keys."""

    def __init__(self, path: Path | str, limit: int | None = None) -> None:
        """Read the keys (only the first `limit` where given); raise `UserError` where LMDB cannot open `path`."""
        self.path = Path(path)
        with _open(self.path).begin() as transaction:
            keys = list(islice(transaction.cursor().iternext(values=False), limit))
        # One string of keys and their ends: millions of small objects would be copied into every worker.
        self._keys = b"".join(keys)
        self._ends = [0, *accumulate(map(len, keys))]

    def __len__(self) -> int:
        return len(self._ends) - 1

    def name(self, k: int) -> str:
        return self._key(k).decode("ascii", errors="backslashreplace")

    def open(self, k: int) -> IO[bytes]:
        with _open(self.path).begin() as transaction:
            value = transaction.get(self._key(k))
        if value is None:
            raise KeyError(self.name(k))
        return io.BytesIO(value)

    def fingerprint(self) -> str:
        size = (self.path / "data.mdb").stat().st_size
        return digest([str(size), *(self.name(k) for k in range(len(self)))])

    def _key(self, k: int) -> bytes:
        return self._keys[self._ends[k] : self._ends[k + 1]]


def _open(path: Path) -> "lmdb.Environment":
    """This process's environment of `path`, read-only and without a lock file, so that archives may be read-only."""
    try:
        import lmdb
    except ImportError as error:
        raise UserError("reading an LMDB needs the package lmdb: pip install 'anycost[lmdb]'") from error
    key = path.resolve()
    if key in _environments and _environments[key][0] != os.getpid():
        _environments.pop(key)[1].close()
    if key not in _environments:
        try:
            environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
        except lmdb.Error as error:
            raise UserError(f"{path} cannot be opened as an LMDB: {error}") from error
        _environments[key] = (os.getpid(), environment)
    return _environments[key][1]
