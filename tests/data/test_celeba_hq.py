"""The split of CelebA-HQ follows the numbers of the files, not their order."""

import pytest

from anycost.data import celeba_hq
from anycost.data.celeba_hq import MAPPING_FILE, celeba_hq_split
from anycost.data.sources import FolderSource
from anycost.errors import UserError

ORIGINALS = [5, 162770, 162771, 182637, 182638, 202000, 100, 101, 102, 103, 104, 162800]
SPLITS = {"train": [0, 1, 6, 7, 8, 9, 10], "val": [2, 3, 11], "test": [4, 5]}


@pytest.fixture(autouse=True)
def twelve_pictures(monkeypatch):
    monkeypatch.setattr(celeba_hq, "PICTURES", len(ORIGINALS))


def write_mapping(path, originals=ORIGINALS):
    rows = [f"{k:<12}{original:<12}{original + 1:06d}.jpg" for k, original in enumerate(originals)]
    (path / MAPPING_FILE).write_text("\n".join(["idx         orig_idx    orig_file", *rows]))


def make(make_folder, names) -> FolderSource:
    return FolderSource(make_folder({f"images/{name}": b"" for name in names}), "images")


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("pattern", ["{}.jpg", "{:05d}.png", "00000/img{:08d}.png"])
@pytest.mark.parametrize("first", [0, 1])
def test_split(split, pattern, first, make_folder):
    source = make(make_folder, [pattern.format(k + first) for k in range(12)])
    write_mapping(source.path)
    chosen = celeba_hq_split(source, split)
    expected = [f"images/{pattern.format(k + first)}" for k in SPLITS[split]]
    assert [chosen.name(k) for k in range(len(chosen))] == expected


def test_mapping_beside_the_data(make_folder):
    source = make(make_folder, [f"{k}.jpg" for k in range(12)])
    write_mapping(source.path.parent)
    assert len(celeba_hq_split(source, "val")) == 3


def test_missing_pictures_do_not_shift_the_others(make_folder):
    source = make(make_folder, [f"{k}.jpg" for k in range(12) if k != 2])
    write_mapping(source.path)
    chosen = celeba_hq_split(source, "val")
    assert [chosen.name(k) for k in range(len(chosen))] == ["images/3.jpg", "images/11.jpg"]


@pytest.mark.parametrize(
    ("names", "mapping", "message"),
    [
        (["a.jpg"], ORIGINALS, "does not end in its CelebA-HQ number"),
        (["3.jpg", "4.jpg"], ORIGINALS, "numbered 3 to 4"),
        (["0.jpg", "12.jpg"], ORIGINALS, "numbered 0 to 12"),
        (["0.jpg", "7.jpg"], ORIGINALS[:5], "does not name picture 7"),
        (["0.jpg"], [], "malformed"),
        (["4.jpg", "0.jpg"], ORIGINALS, r"data\.split=val is empty"),
    ],
)
def test_mistakes(names, mapping, message, make_folder):
    source = make(make_folder, names)
    write_mapping(source.path, mapping)
    with pytest.raises(UserError, match=message):
        celeba_hq_split(source, "val")
