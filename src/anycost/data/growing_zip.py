"""A zip of stored entries that a kill at any instant leaves continuable.

A zip's table of contents stands at its end, so a killed writer leaves none. But each entry carries its own header,
and from these the table is made again: whole entries stay, a torn last one is cut off.
"""

import fcntl
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from anycost.errors import UserError
from anycost.files import explained_errors

_HEADER = struct.Struct("<4s5H3I2H")  # the local file header of PKWARE's APPNOTE, section 4.3.7
_SIGNATURE = b"PK\x03\x04"


class GrowingZip:
    """Entries are appended to `path`; `finish` completes the archive and renames it.

    A context manager that only closes the file: what was added stays for the next attempt.
    """

    def __init__(self, path: Path) -> None:
        """Open or continue `path`; raises `UserError` where another process is writing it, or it cannot be written."""
        self.path = path
        with explained_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise UserError(f"another process is writing {path}; wait for it, or stop it") from error
        self._entries = _whole_entries(self._file)

    @property
    def names(self) -> list[str]:
        """Names of the entries, in the order they were added."""
        return [entry.filename for entry in self._entries]

    def add(self, name: str, data: bytes) -> None:
        """Append one entry, uncompressed, with the fixed date 1980-01-01 so that equal inputs give equal archives."""
        entry = _stored(name, zlib.crc32(data), len(data), self._file.tell())
        with explained_errors(self.path):
            self._file.write(entry.FileHeader(zip64=False) + data)
            self._file.flush()
        self._entries.append(entry)

    def finish(self, target: Path, extras: Mapping[str, bytes]) -> None:
        """Add `extras`, write the table of contents and rename the file to `target`.

        The extras are deflated: so a file killed here is recovered up to its last stored entry.
        """
        with explained_errors(target):
            with zipfile.ZipFile(self._file, "w") as archive:  # writes on from the file's position
                archive.infolist().extend(self._entries)
                for name, data in extras.items():
                    archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
            self._file.flush()
            os.fsync(self._file.fileno())
            os.replace(self.path, target)

    def __enter__(self) -> "GrowingZip":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # on a full disk: what could not be written is cut off by the next attempt
            self._file.close()


def _stored(name: str, crc: int, size: int, offset: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.CRC, entry.compress_size, entry.file_size, entry.header_offset = crc, size, size, offset
    entry.external_attr = 0o644 << 16
    return entry


def _whole_entries(file: IO[bytes]) -> list[zipfile.ZipInfo]:
    """The stored entries from the start of `file` on; cuts off what follows them and stands at their end."""
    length = file.seek(0, os.SEEK_END)
    entries: list[zipfile.ZipInfo] = []
    end = 0
    while (entry := _read_entry(file, end, length)) is not None:
        entries.append(entry)
        end = file.tell()
    if entries and not _is_intact(file, entries[-1], end):
        end = entries.pop().header_offset
    file.seek(end)
    file.truncate()
    return entries


def _read_entry(file: IO[bytes], offset: int, length: int) -> zipfile.ZipInfo | None:
    """The stored entry at `offset`, with the file then at its end; None where there is no whole one."""
    file.seek(offset)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    signature, _, _, method, _, _, crc, _, size, name_length, extra_length = _HEADER.unpack(header)
    name = file.read(name_length)
    end = offset + _HEADER.size + name_length + extra_length + size
    if signature != _SIGNATURE or method != zipfile.ZIP_STORED or end > length:
        return None
    file.seek(end)
    return _stored(name.decode(errors="replace"), crc, size, offset)


def _is_intact(file: IO[bytes], entry: zipfile.ZipInfo, end: int) -> bool:
    file.seek(end - entry.file_size)
    return zlib.crc32(file.read(entry.file_size)) == entry.CRC
