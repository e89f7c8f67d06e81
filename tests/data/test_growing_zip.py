"""An archive under construction survives kills, full disks and a second writer."""

import errno
import zipfile

import pytest

from anycost.data.growing_zip import GrowingZip
from anycost.errors import UserError

ENTRIES = {f"{k:03d}.png": bytes([k]) * (50 + k) for k in range(8)}


def grow(path, entries) -> None:
    with GrowingZip(path) as archive:
        for name, data in entries.items():
            archive.add(name, data)


def finish(path, target) -> dict[str, bytes]:
    with GrowingZip(path) as archive:
        for name in ENTRIES.keys() - set(archive.names):
            archive.add(name, ENTRIES[name])
        archive.finish(target, {"dataset.json": b"{}" * 50})
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_content(tmp_path):
    grow(tmp_path / "part", ENTRIES)
    assert finish(tmp_path / "part", tmp_path / "out.zip") == {**ENTRIES, "dataset.json": b"{}" * 50}
    assert [p.name for p in tmp_path.iterdir()] == ["out.zip"]


def test_cut_at_every_byte(tmp_path):
    grow(tmp_path / "whole", ENTRIES)
    data = (tmp_path / "whole").read_bytes()
    for length in range(0, len(data), 7):
        part = tmp_path / "part"
        part.write_bytes(data[:length])
        with GrowingZip(part) as archive:
            kept = archive.names
        assert kept == list(ENTRIES)[: len(kept)]
        assert len(part.read_bytes()) <= length < len(part.read_bytes()) + 30 + 7 + 57 + 1
        assert finish(part, tmp_path / "out.zip").items() >= ENTRIES.items()


def test_killed_while_finishing(tmp_path):
    """A table of contents without the rename: cut off again, together with the extras."""
    grow(tmp_path / "part", ENTRIES)
    finish(tmp_path / "part", tmp_path / "out.zip")
    (tmp_path / "out.zip").rename(tmp_path / "part")
    with GrowingZip(tmp_path / "part") as archive:
        assert archive.names == list(ENTRIES)


def test_damaged_last_entry_is_dropped(tmp_path):
    grow(tmp_path / "part", ENTRIES)
    data = bytearray((tmp_path / "part").read_bytes())
    data[-1] ^= 1
    (tmp_path / "part").write_bytes(data)
    with GrowingZip(tmp_path / "part") as archive:
        assert archive.names == list(ENTRIES)[:-1]


def test_full_disk(tmp_path, monkeypatch):
    with GrowingZip(tmp_path / "part") as archive:
        archive.add("000.png", ENTRIES["000.png"])

        def full():
            raise OSError(errno.ENOSPC, "no space")

        monkeypatch.setattr(archive._file, "flush", full)
        with pytest.raises(UserError, match=r"cannot write .*part: the disk is full"):
            archive.add("001.png", ENTRIES["001.png"])
    assert finish(tmp_path / "part", tmp_path / "out.zip").items() >= ENTRIES.items()


def test_second_writer(tmp_path):
    with GrowingZip(tmp_path / "part"), pytest.raises(UserError, match="another process is writing"):
        GrowingZip(tmp_path / "part")


def test_more_entries_than_a_plain_zip_holds(tmp_path):
    with GrowingZip(tmp_path / "part") as archive:
        for k in range(66000):
            archive.add(str(k), b"")
        archive.finish(tmp_path / "out.zip", {})
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == 66000
