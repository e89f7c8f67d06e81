"""Training images are a pure function of (source, seed, index)."""

import logging

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from anycost.data.batches import ImageIndexBatches
from anycost.data.datasets import TrainingImages, identity, real_images
from anycost.data.faces import FaceSource
from anycost.data.pyramid import downsample_uint8, pyramid
from anycost.data.sources import FolderSource, ZipSource
from anycost.errors import UserError

RESOLUTIONS = [8, 16, 32]


class Drawn:
    """A stand-in for the faces: noise that depends on place and resolution."""

    def __len__(self) -> int:
        return 10

    def fingerprint(self) -> str:
        return "drawn"

    def render(self, indices, resolution):
        seeds = (torch.Generator().manual_seed(100 * k + resolution) for k in indices)
        return torch.stack([torch.randint(0, 256, (3, resolution, resolution), generator=g) for g in seeds]).byte()


@pytest.fixture(params=["zip", "drawn", "faces"])
def source(request, files, make_zip):
    if request.param == "zip":
        return ZipSource(make_zip(files))
    return Drawn() if request.param == "drawn" else FaceSource(size=10)


def collect(images: TrainingImages, batches: ImageIndexBatches, workers: int = 0) -> dict[int, dict[int, torch.Tensor]]:
    """{image index: {resolution: picture}} as a loader delivers them."""
    found = {}
    for batch in DataLoader(images, batch_sampler=batches, collate_fn=identity, num_workers=workers):
        for row, i in enumerate(batch["index"].tolist()):
            found[i] = {r: x[row] for r, x in batch["images"].items()}
    return found


def equal(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[i][r], right[i][r]) for i in left for r in left[i])


@pytest.mark.parametrize(("rank", "expected"), [(0, [[8, 10], [12, 14]]), (1, [[9, 11], [13, 15]])])
def test_ranks_interleave(rank, expected):
    batches = ImageIndexBatches(8, 18, batch_size=4, rank=rank, world_size=2)
    assert list(batches) == expected
    assert len(batches) == 2


def test_ranks_cover_a_stage_once_and_resume_continues_it():
    whole = sorted(i for rank in range(4) for batch in ImageIndexBatches(0, 96, 16, rank, 4) for i in batch)
    assert whole == list(range(96))
    assert list(ImageIndexBatches(0, 96, 16))[2:] == list(ImageIndexBatches(32, 96, 16))
    assert len(ImageIndexBatches(96, 32, 16)) == 0


def test_batch_must_divide():
    with pytest.raises(ValueError, match="3 processes"):
        ImageIndexBatches(0, 64, 16, 0, 3)


@pytest.mark.parametrize(
    "variant",
    [
        {"batch_size": 6}, {"workers": 2}, {"cache": True}, {"cache": True, "workers": 2, "batch_size": 4},
    ],
    ids=str,
)  # fmt: skip
def test_delivery_changes_nothing(source, variant):
    options = {"batch_size": 12, "workers": 0, "cache": False, **variant}
    expected = collect(TrainingImages(source, RESOLUTIONS, seed=3), ImageIndexBatches(0, 48, 12))
    images = TrainingImages(source, RESOLUTIONS, seed=3, cache=options["cache"])
    found = collect(images, ImageIndexBatches(0, 48, options["batch_size"]), options["workers"])
    assert equal(found, expected)


def test_an_epoch_shows_every_picture_once_in_new_orders(source):
    images = TrainingImages(source, [32], seed=0)
    size = len(source)
    epochs = [[images.place(i) for i in range(e * size, (e + 1) * size)] for e in range(3)]
    assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    other = TrainingImages(source, [32], seed=1)
    assert [other.place(i) for i in range(size)] != epochs[0]


def test_flip_is_shared_and_fair(source):
    images = TrainingImages(source, RESOLUTIONS, seed=5)
    plain = TrainingImages(source, RESOLUTIONS, seed=5, mirror=False)
    indices = list(range(40))
    flipped, straight = images.__getitems__(indices)["images"], plain.__getitems__(indices)["images"]
    for row, i in enumerate(indices):
        for r in RESOLUTIONS:
            expected = straight[r][row].flip(-1) if images.flipped(i) else straight[r][row]
            assert torch.equal(flipped[r][row], expected)
    assert 0.45 < sum(images.flipped(i) for i in range(2000)) / 2000 < 0.55
    assert not any(plain.flipped(i) for i in indices)


def test_lower_resolutions_are_filtered_not_drawn():
    batch = TrainingImages(Drawn(), RESOLUTIONS, seed=0, filter="box").__getitems__([0, 1])["images"]
    assert all(torch.equal(batch[r], downsample_uint8(batch[32], r, "box")) for r in RESOLUTIONS)


def test_broken_pictures_are_replaced_by_the_next_and_named_once(files, make_folder, caplog, picture, encode):
    files["a/2.png"] = files["a/2.png"][:100]
    files["a/4.png"] = encode(picture(4, (20, 20)))
    source = FolderSource(make_folder(files))
    images = TrainingImages(source, [32], seed=0, mirror=False)
    with caplog.at_level(logging.WARNING):
        batch = images.__getitems__(list(range(24)))["images"][32]
    places = [images.place(i) for i in range(24)]
    stand_in = {1: 3, 2: 3}  # a/2.png and a/4.png give way to a/6.png
    for row, place in enumerate(places):
        expected = pyramid(source.read(stand_in.get(place, place)), [32], "bilinear", "crop")[32]
        assert np.array_equal(batch[row], expected)
    assert sum("a/2.png" in line and "is broken" in line for line in caplog.messages) == 1
    assert sum("a/4.png" in line and "20x20" in line for line in caplog.messages) == 1


def test_nothing_usable(make_folder):
    source = FolderSource(make_folder({"0.png": b"x", "1.png": b"y"}))
    with pytest.raises(UserError, match="no usable picture"):
        TrainingImages(source, [32], seed=0).__getitems__([0])


@pytest.mark.parametrize("workers", [0, 2])
def test_real_images_come_in_source_order(source, workers):
    pictures = torch.cat(list(real_images(source, 16, "bilinear", "crop", 7, 3, full_resolution=32, workers=workers)))
    images = TrainingImages(source, [16, 32], seed=0, mirror=False)
    order = [next(i for i in range(len(source)) if images.place(i) == k) for k in range(7)]
    assert torch.equal(pictures, images.__getitems__(order)["images"][16])


def test_more_real_images_than_there_are(source):
    with pytest.raises(UserError, match="100 real images"):
        next(real_images(source, 16, "bilinear", "crop", 100, 8))
