"""Files appear whole or not at all: written to the side, flushed, then renamed; a folder has one owner at a time."""

import errno
import fcntl
import logging
import os
import secrets
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from anycost.errors import UserError

log = logging.getLogger(__name__)

# The fields of C's `struct flock`, which is how a lock is asked after without being taken.
_FLOCK, _TYPE, _PID = ("qqihh", 3, 2) if sys.platform == "darwin" else ("hhqqi", 0, 4)

_EXPLAINED = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EACCES: "there is no permission to write there",
    errno.EPERM: "there is no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
}


@contextmanager
def explained_errors(path: Path | str) -> Iterator[None]:
    """Turn the operating system's write errors into a `UserError` that names `path` and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _EXPLAINED:
            raise
        raise UserError(f"cannot write {path}: {_EXPLAINED[error.errno]}") from error


@contextmanager
def atomic_write(path: Path | str, mode: str = "wb") -> Iterator[IO]:
    """Open a file beside `path`; rename it to `path` when the block ends, delete it when the block fails.

    A kill at any instant leaves the previous content of `path` whole.
    """
    encoding = None if "b" in mode else "utf-8"
    with _aside(Path(path)) as (descriptor, _), os.fdopen(descriptor, mode, encoding=encoding) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def append_line(path: Path, line: str) -> None:
    """Append a line in one write, on the disk when this returns; a line that a kill tore gets its end first.

    Raises `OSError`, also where the disk has room for a part of it only.
    """
    with path.open("ab+", buffering=0) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
        torn = file.read(1) not in (b"", b"\n")
        content = b"\n" * torn + line.encode() + b"\n"
        if file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """As `atomic_write`, for other programs that write files by name: the name to write to."""
    with _aside(Path(path)) as (descriptor, aside):
        os.close(descriptor)
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())


@contextmanager
def _aside(path: Path) -> Iterator[tuple[int, Path]]:
    """An open descriptor and the name of a file beside `path`, which replaces it when the block ends."""
    with explained_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.parent / f".{path.name}.{secrets.token_hex(4)}.part"
        # Not by tempfile: its files are their owner's alone, and a mode like that of other new files needs the umask,
        # which a process with threads cannot ask for safely.
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            yield descriptor, aside
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def lock_folder(folder: Path, busy: str, patience_sec: float = 0.0) -> IO[str]:
    """Make `folder` and own it for as long as the file that is returned lives and is open.

    Raises `UserError(busy)` where another process still owns it after `patience_sec`. The lock goes with the process
    that took it, not with processes that it started, which may outlive it by seconds. A file system without locks is
    warned about.
    """
    with explained_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    end = time.monotonic() + patience_sec
    while True:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() < end:
                time.sleep(min(1.0, patience_sec / 10))
                continue
            lock.close()
            raise UserError(busy) from error
        except OSError as error:
            log.warning("%s cannot be locked (%s): see that one command works there", folder, error.strerror)
        return lock


def lock_owner(folder: Path) -> int | None:
    """The process that owns `folder`; 0 or a stranger's number where it is on another machine; None: nobody.

    The lock is not taken, not for an instant: a process that starts meanwhile finds the folder free. A file system
    without locks knows of nobody.
    """
    asked = [0] * 5
    asked[_TYPE] = fcntl.F_WRLCK
    try:
        with (folder / ".lock").open("rb") as lock:
            answer = struct.unpack(_FLOCK, fcntl.fcntl(lock, fcntl.F_GETLK, struct.pack(_FLOCK, *asked)))
    except OSError:
        return None
    return None if answer[_TYPE] == fcntl.F_UNLCK else answer[_PID]
