"""Textures, their crops and the augmentation: pure functions of (seed, index), in whatever batch."""

import pytest
import torch
from torch import Tensor

from anycost.data.augmentation import crop, photometric
from anycost.data.faces import FaceSource
from anycost.data.labelled_faces import AttributeImages, label_shares, texture_crops
from anycost.data.textures import FAMILIES, draw_textures


def test_a_texture_is_a_function_of_seed_and_index() -> None:
    images, families = draw_textures(3, range(40), 24)
    for indices in ([7], [39, 2, 7], list(range(20, 40))):
        again, same = draw_textures(3, indices, 24)
        assert torch.equal(same, families[indices])
        torch.testing.assert_close(again, images[indices], atol=1e-5, rtol=0)
    other, _ = draw_textures(4, range(40), 24)
    assert ((other - images).abs().amax((1, 2, 3)) > 0.1).all()


def test_every_family_gives_pictures_of_some_contrast() -> None:
    images, families = draw_textures(0, range(200), 32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert set(families.tolist()) == set(range(len(FAMILIES)))
    assert (images.std((2, 3)).amax(1) > 0.01).all()


def test_crops_of_a_texture_are_turned_alike() -> None:
    crops, family, rotation = texture_crops(0, range(32), 16)
    assert crops.shape == (32, 2, 3, 16, 16)
    assert set(rotation.tolist()) == {0, 1, 2, 3}
    canvases, families = draw_textures(0, range(32), 24)
    assert torch.equal(family, families)
    for picture, canvas, turns in zip(crops[:, 0], canvases, rotation.tolist(), strict=True):
        upright = picture.rot90(-turns, (-2, -1))
        squares = canvas.unfold(1, 16, 1).unfold(2, 16, 1)
        gaps = (squares - upright[:, None, None]).abs().amax((0, 3, 4))
        assert gaps.min() < 1e-6


def test_colour_does_not_tell_the_crops_apart() -> None:
    """The second crop has the colours of the first with its channels in another order, in five of six."""
    crops, _, _ = texture_crops(0, range(64), 16)
    means = crops.mean((3, 4))
    torch.testing.assert_close(means[:, 0].sort(1).values, means[:, 1].sort(1).values, atol=0.25, rtol=0)
    exchanged = (means[:, 0] - means[:, 1]).abs().amax(1) > 0.1
    assert 0.5 < exchanged.float().mean() < 0.95


def test_crop_is_slicing_with_edges_repeated() -> None:
    images = torch.rand(3, 2, 8, 8)
    top, left = torch.tensor([0, -2, 5]), torch.tensor([1, 0, -3])
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4), mode="replicate")
    for row, (t, l) in enumerate(zip(top.tolist(), left.tolist(), strict=True)):
        assert torch.equal(crop(images, top, left, 6)[row], padded[row, :, t + 4 : t + 10, l + 4 : l + 10])
        assert torch.equal(crop(images[:, 0], top, left, 6)[row], crop(images, top, left, 6)[row, 0])


def test_augmentation_is_mild_and_a_function_of_the_index() -> None:
    images = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    changed = photometric(images, 0, "faces", range(16))
    assert 0.01 < (changed - images).abs().mean() < 0.15
    torch.testing.assert_close(photometric(images[5:6], 0, "faces", [5]), changed[5:6], atol=1e-5, rtol=0)
    assert not torch.allclose(photometric(images, 0, "textures", range(16)), changed)


def test_label_shares_are_shares_of_the_area() -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    labels[0, 0, :3] = 2
    shares = label_shares(labels, 2)
    torch.testing.assert_close(shares.sum(1), torch.ones(1, 2, 2))
    torch.testing.assert_close(shares[0, 2], torch.tensor([[0.5, 0.25], [0.0, 0.0]]))


@pytest.fixture(scope="module")
def images() -> AttributeImages:
    return AttributeImages(FaceSource(24, 5), 64, batch_size=8, seed=1, mirror=True, filter="bilinear", cache=False)


def test_the_resolution_is_one_for_the_whole_step(images: AttributeImages) -> None:
    steps = [{images.step_resolution(i) for i in range(n, n + 8)} for n in range(0, 400, 8)]
    assert all(len(step) == 1 for step in steps)
    assert set.union(*steps) == {16, 32, 64}


def test_pictures_and_labels_move_together(images: AttributeImages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture is its face, flipped or not, moved by some whole places of the label map, and so are its labels."""
    monkeypatch.setattr("anycost.data.labelled_faces.photometric", lambda pictures, *unused: pictures)
    start = next(n for n in range(0, 400, 8) if images.step_resolution(n) == 64)
    indices = list(range(start, start + 8))
    batch = images.__getitems__(indices)
    places, flips = [images.place(i) for i in indices], [images.flipped(i) for i in indices]
    moves = set()
    for row, (place, flip) in enumerate(zip(places, flips, strict=True)):
        face, labels = images.faces.render([place], 64), images.faces.label_maps([place], 32)
        if flip:
            face, labels = face.flip(-1), labels.flip(-1)
        found = [(top, left) for top in range(-2, 3) for left in range(-2, 3)
                 if torch.equal(_moved(face, 2 * top, 2 * left)[0], batch["images"][64][row])]  # fmt: skip
        assert len(found) == 1
        assert torch.equal(label_shares(_moved(labels, *found[0]), 32)[0], batch["labels"][row])
        moves.update(found)
    assert len(moves) > 2
    assert any(flips)
    assert torch.equal(batch["attributes"] > 0.5, images.faces.attributes(places))


def _moved(images: Tensor, top: int, left: int) -> Tensor:
    return crop(images, torch.tensor([top]), torch.tensor([left]), images.shape[-1])


def test_the_cache_changes_nothing(images: AttributeImages) -> None:
    cached = AttributeImages(FaceSource(24, 5), 64, batch_size=8, seed=1, mirror=True, filter="bilinear", cache=True)
    indices = list(range(40, 48))
    for _ in range(2):
        for name, value in images.__getitems__(indices).items():
            other = cached.__getitems__(indices)[name]  # type: ignore[literal-required]
            pairs = [(value, other)] if isinstance(value, Tensor) else [(value[r], other[r]) for r in value]
            assert all(torch.equal(x, y) for x, y in pairs), name

