"""Folder, zip and LMDB give the same pictures in the same order, in every process."""

import multiprocessing
import pickle
import zipfile

import numpy as np
import pytest

from anycost.data.decode import UnusableImage
from anycost.data.kinds import detect_kind, open_pictures
from anycost.data.lmdb_source import LmdbSource
from anycost.data.sources import FolderSource, PictureSource, Selection, ZipSource
from anycost.errors import UserError


@pytest.fixture(params=["folder", "zip", "lmdb"])
def source(request, files, make_folder, make_zip) -> PictureSource:
    if request.param == "folder":
        return FolderSource(make_folder(files))
    if request.param == "zip":
        return ZipSource(make_zip(files))
    keyed = {f"{k:02d}": data for k, data in enumerate(files[name] for name in natural_names(files))}
    return LmdbSource(request.getfixturevalue("make_lmdb")(keyed))


def natural_names(files) -> list[str]:
    return sorted(files, key=lambda name: (name[0], int(name[2:-4])))


def test_reads_every_picture(source, picture):
    numbers = [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]  # a/0 .. a/10, then b/1 .. b/11
    assert len(source) == 12
    for k, number in enumerate(numbers):
        assert np.array_equal(np.asarray(source.read(k)), np.asarray(picture(number)))
        assert source.size(k) == (48, 48)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_survives_other_processes(source, method):
    expected = [source.encoded(k) for k in range(12)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(source.encoded, range(12)) == expected
    assert source.encoded(0) == expected[0]


def test_pickled_sources_are_equal(source):
    copy = pickle.loads(pickle.dumps(source))
    assert copy.fingerprint() == source.fingerprint()
    assert copy.encoded(3) == source.encoded(3)


def test_fingerprint_follows_content(source, files, make_folder, make_zip, picture, encode):
    changed = {**files, "a/0.png": encode(picture(99, (50, 50)))}
    remade = {
        FolderSource: lambda new: FolderSource(make_folder(new, "again")),
        ZipSource: lambda new: ZipSource(make_zip(new, "again.zip")),
    }.get(type(source))
    assert Selection(source, range(5)).fingerprint() != source.fingerprint()
    if remade:
        assert remade(files).fingerprint() == source.fingerprint()
        assert remade(changed).fingerprint() != source.fingerprint()


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_subset(kind, files, make_folder, make_zip):
    nested = {f"train/{name}": data for name, data in files.items()}
    path = make_folder(nested) if kind == "folder" else make_zip(nested)
    open_as = FolderSource if kind == "folder" else ZipSource
    assert [open_as(path, "train/b").name(k) for k in (0, 5)] == ["train/b/1.png", "train/b/11.png"]
    assert len(open_as(path, "train/")) == 12
    with pytest.raises(UserError, match=r"^subset=train/c .*train/a, train/b$"):
        open_as(path, "train/c")


@pytest.mark.parametrize("label", [3, [0.5, 1.0]])
def test_labels_of_the_nvidia_layout(label, files, make_zip, make_folder):
    labels = [["a/0.png", label]]
    source = ZipSource(make_zip(files, labels=labels))
    assert (source.labels(0), source.labels(1)) == (label, None)
    assert len(source) == 12
    assert ZipSource(make_zip(files, "none.zip", labels=None)).labels(0) is None


def test_malformed_labels(files, make_folder):
    with pytest.raises(UserError, match=r"dataset\.json is malformed"):
        FolderSource(make_folder({**files, "dataset.json": b'{"labels": [1, 2]}'}))


def test_hidden_and_foreign_files_are_left_out(files, make_zip):
    more = {"__MACOSX/a/._0.png": b"x", ".thumbnails/0.png": b"x", "readme.txt": b"x", "a/.0.png": b"x"}
    assert len(ZipSource(make_zip({**files, **more}))) == 12


def test_upper_case_suffixes_count(files, make_folder):
    assert len(FolderSource(make_folder({"PHOTO.JPG": b"", "b.PNG": b""}))) == 2


def test_damage_in_an_archive_is_unusable(files, make_zip):
    path = make_zip(files)
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("a/0.png").header_offset
    data = bytearray(path.read_bytes())
    data[offset + 200] ^= 0xFF
    path.write_bytes(data)
    source = ZipSource(path)
    with pytest.raises(UnusableImage, match="is broken"):
        source.read(0)
    assert source.read(1).size == (48, 48)


def test_vanished_file_is_unusable(files, make_folder):
    source = FolderSource(make_folder(files))
    (source.path / source.name(2)).unlink()
    with pytest.raises(UnusableImage, match="No such file"):
        source.read(2)


@pytest.mark.parametrize("kind", ["folder", "zip", "lmdb"])
def test_kinds_are_detected(kind, files, request):
    path = request.getfixturevalue(f"make_{kind}")(files)
    assert detect_kind(path) == kind
    assert len(open_pictures(path)) == 12


def test_foreign_and_cut_archives(files, make_zip):
    path = make_zip(files)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="neither a folder, nor an LMDB, nor a whole zip"):
        detect_kind(path)


def test_lmdb_has_no_subsets(make_lmdb, files):
    with pytest.raises(UserError, match="subset=a: an LMDB has no subsets"):
        open_pictures(make_lmdb(files), "a")


def test_lmdb_limit_and_second_opening(make_lmdb, files):
    path = make_lmdb(files)
    first, second = LmdbSource(path, limit=5), LmdbSource(path)
    assert (len(first), len(second)) == (5, 12)
    assert first.name(4) == second.name(4)


def test_lmdb_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(UserError, match=r"anycost\[lmdb\]"):
        LmdbSource(tmp_path)
