"""What is written appears whole, with the mode of any new file, or not at all."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anycost.errors import UserError
from anycost.files import atomic_path, atomic_write, lock_folder


@pytest.fixture(params=[0o022, 0o027, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_have_the_mode_that_the_umask_leaves(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The umask is the whole process's: files that other threads make at that instant must not be open to all."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("changed for an instant"))
    with atomic_write(tmp_path / "a") as file:
        file.write(b"1")
    with atomic_path(tmp_path / "b") as aside:
        aside.write_bytes(b"2")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    monkeypatch.undo()
    assert modes == {"a": 0o666 & ~umask, "b": 0o666 & ~umask}


def test_what_fails_leaves_the_old_content_alone(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")
    with pytest.raises(TypeError), atomic_write(file, "w") as new:
        new.writelines(["half", None])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert file.read_text() == "old"


def test_a_lock_that_is_given_back_is_waited_for(tmp_path: Path) -> None:
    """Of another process: locks of one process do not bind itself."""
    hold = ("import sys; from pathlib import Path; from anycost.files import lock_folder\n"
            "lock = lock_folder(Path(sys.argv[1]), ''); print(flush=True); input()")  # fmt: skip
    command = [sys.executable, "-c", hold, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdin
        other.stdout.readline()
        with pytest.raises(UserError, match="busy"):
            lock_folder(tmp_path, "busy", patience_sec=0.1)
        threading.Timer(0.3, other.stdin.close).start()
        lock_folder(tmp_path, "busy", patience_sec=100)


def test_many_writers_of_one_name(tmp_path: Path) -> None:
    """The last one wins, whole."""
    def write(number: int) -> None:
        for _ in range(20):
            with atomic_write(tmp_path / "a", "w") as file:
                file.write(str(number) * 1000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = (tmp_path / "a").read_text()
    assert content == content[0] * 1000
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("name", "reason"), [
    ("folder", "it is a folder"), ("file/x", "a part of the path is a file"), ("x" * 300, "the name is too long"),
])
def test_what_cannot_be_written_is_explained(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=reason), atomic_write(tmp_path / name):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
