"""Every mistake in the data options gets one clear message when the source is opened."""

import logging

import pytest

from anycost.configuration.schema import DataConfig
from anycost.data.opening import open_source
from anycost.errors import UserError


def config(**options) -> DataConfig:
    return DataConfig(**{"name": "test", "kind": "folder", "resolution": 32, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 48}, r"data\.resolution=48 is not a power of two.*take 32 or 64"),
        ({"resolution": 64}, r"data\.resolution=64 is larger than the pictures: .*png .*48x48"),
        ({"subset": "c"}, r"subset=c .* it has a, b"),
        ({"size": 13}, r"data\.size=13 is more than the 12"),
        ({"kind": "zip"}, r"data\.kind=zip: .* is a folder; use data\.kind=folder"),
        ({"split": "dev"}, r"data\.split=dev is not one of train, val, test"),
        ({"split": "val"}, r"needs CelebA-HQ-to-CelebA-mapping\.txt in or beside"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_mistakes(options, message, files, make_folder):
    with pytest.raises(UserError, match=message):
        open_source(config(path=str(make_folder(files)), **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "zip", "resolution": 1024}, r"anycost prepare source=FOLDER output=gone resolution=1024"),
        ({"kind": "zip", "padding": "letterbox"}, r"output=gone crop=letterbox resolution=32"),
        ({"kind": "folder"}, r"data\.path=gone does not exist; give the folder with data\.path="),
        ({"kind": "lmdb"}, r"data\.path=gone does not exist; give the lmdb"),
    ],
)
def test_missing_path(options, message):
    with pytest.raises(UserError, match=message):
        open_source(config(path="gone", **options))


def test_path_not_set():
    with pytest.raises(UserError, match=r"data\.path is not set"):
        open_source(config())


def test_empty(make_folder):
    with pytest.raises(UserError, match="has no pictures"):
        open_source(config(path=str(make_folder({"readme.txt": b"x"}))))


def test_mixed_sizes(files, make_folder, picture, encode):
    path = str(make_folder({**files, "a/wide.png": encode(picture(0, (80, 40)))}))
    with pytest.raises(UserError, match=r"data\.padding=error: a/wide\.png in .* is 80x40 pixels, not square"):
        open_source(config(path=path, padding="error"))
    assert len(open_source(config(path=path, padding="crop"))) == 13


def test_broken_headers_are_named_and_all_broken_stops(files, make_folder, caplog):
    with caplog.at_level(logging.WARNING):
        open_source(config(path=str(make_folder({**files, "b/bad.png": b"nothing"}))))
    assert [line for line in caplog.messages if "b/bad.png" in line and "is broken" in line]
    with pytest.raises(UserError, match="none of 1 pictures looked at can be read"):
        open_source(config(path=str(make_folder({"bad.png": b"nothing"}, "other"))))


@pytest.mark.parametrize("kind", ["folder", "zip", "lmdb"])
def test_size_takes_the_first(kind, files, request):
    path = request.getfixturevalue(f"make_{kind}")(files)
    assert len(open_source(config(kind=kind, path=str(path), size=5))) == 5


def test_faces():
    assert len(open_source(DataConfig(name="faces", kind="faces", resolution=32, size=50))) == 50
