"""Reading under watch: whatever would run code, import, or start a process is counted while a file is read."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from anycost.errors import UserError
from anycost.interchange.foreign import Foreign, read_foreign

RUNNING = {"exec", "compile", "import", "marshal.loads", "pickle.find_class", "os.system", "os.exec", "os.posix_spawn",
           "os.fork", "subprocess.Popen", "ctypes.dlopen", "socket.connect", "code.__new__", "function.__new__"}


class Watch:
    """An audit hook cannot be taken off again; it looks only while `on`."""

    on = False
    seen: list[str]

    def __call__(self, event: str, arguments: tuple) -> None:
        if self.on and event in RUNNING:
            self.seen.append(f"{event} {str(arguments)[:200]}")


@pytest.fixture(scope="session")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    watch = Watch()
    for legacy in (True, False):  # what torch and numpy import at first use is no concern of these tests
        path = tmp_path_factory.mktemp("warm") / "up.pt"
        torch.save({"x": torch.zeros(2)}, path, _use_new_zipfile_serialization=not legacy)
        read_foreign(path)
    for codec in ("cp437", "raw_unicode_escape"):  # names in zip archives, and text in pickles of protocol 0
        "x".encode(codec)
    sys.addaudithook(watch)
    return watch


@pytest.fixture
def read(watch: Watch) -> Callable[[Path], Foreign]:
    """`read_foreign`, which fails the test when anything is run, imported or started meanwhile."""

    def watched(path: Path) -> Foreign:
        watch.seen, watch.on = [], True
        try:
            return read_foreign(path)
        finally:
            watch.on = False
            assert not watch.seen

    return watched


@pytest.fixture
def refused(tmp_path: Path, read: Callable) -> Callable[[bytes], str]:
    """Read a file of this content in at most ten seconds of computing; the error's text: one line to be printed."""

    def read_it(content: bytes) -> str:
        path = tmp_path / "file.pt"
        path.write_bytes(content)
        start = time.process_time()
        with pytest.raises(UserError) as error:
            read(path)
        assert time.process_time() - start < 10
        message = str(error.value)
        assert message.startswith(f"{path} ")
        assert len(message) < len(str(path)) + 400
        assert message.isprintable()
        return message

    return read_it


@pytest.fixture
def ran(tmp_path: Path) -> Iterator[Path]:
    """What the files of a test would create if they were run."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()
