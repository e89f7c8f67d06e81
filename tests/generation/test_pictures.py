"""Rendering, arrays and pictures: what `sampling.sample` shows, in files that are whole or absent."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anycost.errors import UserError
from anycost.files import atomic_path
from anycost.generation.arrays import write_array
from anycost.generation.mixing import default_layers, mixing_matrix, mixing_styles
from anycost.generation.pictures import draw_mixing, draw_people, file_names, tiles, write_pictures
from anycost.generation.rendering import batch_for, render
from anycost.generation.styles import Truncation, seed_styles
from anycost.networks.generator import Generator
from anycost.runtime import Renderer
from anycost.sampling import sample, seeded_latents, to_uint8

SEEDS = [4, 0, 7, 7, 123456789]


def expected(generator: Generator, text: str, noise: str, truncation: float) -> torch.Tensor:
    architecture = generator.space.parse(text)
    return torch.cat([one.images for one in sample(generator, architecture, SEEDS, 2, noise, truncation)])


@pytest.mark.parametrize("text", ["full", "0.5", "0.25@16"])
@pytest.mark.parametrize(("noise", "truncation"), [("const", 1.0), ("random", 0.7), ("none", 0.0), ("random", 1.5)])
def test_float32_is_what_sampling_shows(
    renderer: Renderer, generator: Generator, text: str, noise: str, truncation: float
) -> None:
    reference = expected(generator, text, noise, truncation)
    styles = seed_styles(generator, SEEDS, Truncation.of(generator, truncation))
    for batch_size in (1, 3, None):
        images = torch.cat(list(render(renderer, styles, generator.space.parse(text), noise, batch_size)))
        assert images.dtype == torch.float32
        assert (images - reference).norm() <= 1e-5 * reference.norm()


def test_batches_fit_the_resolution() -> None:
    assert [batch_for(r) for r in (4, 32, 256, 512, 1024, 2048)] == [64, 64, 16, 4, 1, 1]


def test_arrays_are_plain_numpy_files(tmp_path: Path) -> None:
    values = torch.randn(7, 3, 4, 4) * 3
    write_array(tmp_path / "x.npy", values.split(2), (7, 3, 4, 4))
    read = np.load(tmp_path / "x.npy")
    assert read.dtype == np.dtype("<f4")
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, values.numpy())
    np.save(tmp_path / "y.npy", values.numpy())
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


@pytest.mark.parametrize("batches", [[torch.zeros(2, 3)], [torch.zeros(2, 3)] * 3, [torch.zeros(4, 2)]])
def test_an_array_that_is_not_whole_leaves_the_old_one(tmp_path: Path, batches: list[torch.Tensor]) -> None:
    (tmp_path / "x.npy").write_text("old")
    with pytest.raises(ValueError, match=r"rows|batch"):
        write_array(tmp_path / "x.npy", batches, (4, 3))
    assert [file.name for file in tmp_path.iterdir()] == ["x.npy"]
    assert (tmp_path / "x.npy").read_text() == "old"


def test_an_array_without_room_is_refused_before_the_first_picture(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError("drawn for nothing")
        yield

    with pytest.raises(UserError, match=r"needs 1.26e\+10 GB and .* GB free; make fewer"):
        write_array(tmp_path / "new" / "x.npy", never(), (10**12, 3, 32, 32, 1024))


def test_programs_write_to_the_side(tmp_path: Path) -> None:
    target = tmp_path / "new" / "x.mp4"
    with atomic_path(target) as aside:
        aside.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == (tmp_path / "new").stat().st_mode & 0o666
    with pytest.raises(ZeroDivisionError), atomic_path(target) as aside:
        aside.write_text(f"half {1 / 0}")
    assert [file.name for file in target.parent.iterdir()] == ["x.mp4"]
    assert target.read_text() == "new"
    with pytest.raises(UserError, match="a part of the path is a file"), atomic_path(target / "y.mp4"):
        pass


def test_pictures_are_rounded(tmp_path: Path, renderer: Renderer, generator: Generator) -> None:
    styles = seed_styles(generator, [0, 1, 2])
    batches = list(render(renderer, styles, generator.space.full(), batch_size=2))
    write_pictures(tmp_path, styles.names, iter(batches))
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"seed000{n}.png" for n in range(3)]
    for name, image in zip(styles.names, torch.cat(batches), strict=True):
        read = np.asarray(Image.open(tmp_path / f"{name}.png")).astype(float)
        exact = (image.double().clamp(-1, 1).permute(1, 2, 0).numpy() + 1) * 127.5
        assert abs(read - exact).max() <= 0.5 + 1e-6


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a part of the path is a file"):
        write_pictures(tmp_path / "file", ["a"], [torch.zeros(1, 3, 4, 4)])


def test_names_of_folders() -> None:
    labels = ["full", "0.25@16", "a b:18G", "a-b:18G", "x=[1,2]", "../up", "..."]
    assert list(file_names(labels)) == ["full", "0.25@16", "a-b-18G", "a-b-18G-2", "x-1-2", "up", "architecture"]


# ---- style mixing


@pytest.mark.parametrize("cutoff", [1, 3, 7])
def test_mixing_a_prefix_is_mixing_cutoff(renderer: Renderer, generator: Generator, cutoff: int) -> None:
    """The generator's own mixing with two codes, of which the first is the column's."""
    rows, columns = seed_styles(generator, [1, 2]), seed_styles(generator, [3, 4, 5])
    mixed = mixing_styles(rows, columns, range(cutoff))
    images = torch.cat(list(render(renderer, mixed, generator.space.full(), batch_size=4)))
    pairs = [(column, row) for row in (1, 2) for column in (3, 4, 5)]
    codes = seeded_latents(generator, [seed for pair in pairs for seed in pair]).reshape(6, 2, 16)
    torch.testing.assert_close(images, generator(codes, mixing_cutoff=cutoff), rtol=1e-4, atol=1e-5)
    assert mixed.names[3] == "seed0002_seed0003"
    assert list(mixed.noise_seeds) == [1, 1, 1, 2, 2, 2]


def test_any_layers_can_be_mixed(generator: Generator) -> None:
    rows, columns = torch.randn(2, 8, 16), torch.randn(3, 8, 16)
    matrix = mixing_matrix(rows, columns, [2, 5]).reshape(2, 3, 8, 16)
    for r in range(2):
        for c in range(3):
            for layer in range(8):
                source = columns[c] if layer in (2, 5) else rows[r]
                assert torch.equal(matrix[r, c, layer], source[layer])


def test_mixed_people_come_in_any_part(generator: Generator) -> None:
    mixed = mixing_styles(seed_styles(generator, [1, 2, 3]), seed_styles(generator, [4, 5]), [0, 1])
    for start in range(6):
        for stop in range(start + 1, 7):
            assert torch.equal(mixed.batch(start, stop), mixed.all()[start:stop])


def test_the_coarse_third_of_18_layers_is_that_of_the_paper() -> None:
    assert default_layers(18) == [0, 1, 2, 3, 4, 5, 6]
    assert default_layers(8) == [0, 1, 2]


# ---- grids


def flat(value: int, resolution: int = 8) -> torch.Tensor:
    return torch.full((3, resolution, resolution), value, dtype=torch.uint8)


def test_the_matrix_shows_sources_and_mixtures_in_their_places() -> None:
    mixed = torch.stack([flat(100), flat(110), flat(120), flat(130), flat(140), flat(150)])
    picture = draw_mixing({"a": flat(10), "b": flat(20)}, {"x": flat(30), "y": flat(40), "z": flat(50)}, mixed)
    pixels = np.asarray(picture)
    left = picture.width - (4 * 130 - 2)
    middles = [[int(pixels[24 + 64 + 130 * row, left + 64 + 130 * column, 0]) for column in range(4)]
               for row in range(3)]  # fmt: skip
    assert middles == [[255, 30, 40, 50], [10, 100, 110, 120], [20, 130, 140, 150]]
    assert pixels[24 + 130 : 24 + 258, : left - 8].min() < 100  # the name of the first row


def test_one_architecture_is_a_square_with_captions() -> None:
    images = torch.stack([flat(10 * n) for n in range(5)])
    picture = draw_people({"full": images}, [f"seed{n}" for n in range(5)])
    assert picture.size == (3 * 130 - 2, 2 * 154 - 2)
    pixels = np.asarray(picture)
    assert [int(pixels[88, 64 + 130 * n, 0]) for n in range(3)] == [0, 10, 20]
    assert [int(pixels[88 + 154, 64 + 130 * n, 0]) for n in range(3)] == [30, 40, 255]
    assert all(pixels[154 * row : 154 * row + 24, 130 * n : 130 * n + 128].min() < 100
               for row, n in ((0, 0), (0, 2), (1, 0), (1, 1)))  # fmt: skip


def test_several_architectures_are_columns() -> None:
    columns = {"full": torch.stack([flat(10, 16)] * 2), "0.5@8": torch.stack([flat(20)] * 2)}
    picture = draw_people(columns, ["seed0000", "seed0001"])
    pixels, left = np.asarray(picture), picture.width - (2 * 130 - 2)
    assert [int(pixels[24 + 64 + 130, left + 64 + 130 * n, 0]) for n in range(2)] == [10, 20]


def test_grids_keep_no_more_than_tiles() -> None:
    images = torch.rand(2, 3, 512, 512) * 2 - 1
    kept = tiles([images[:1], images[1:]])
    assert kept.shape == (2, 3, 256, 256)
    as_drawn = Image.fromarray(to_uint8(images)[1].permute(1, 2, 0).numpy()).resize((256, 256), Image.LANCZOS)
    np.testing.assert_array_equal(kept[1].permute(1, 2, 0).numpy(), np.asarray(as_drawn))
    small = torch.rand(1, 3, 32, 32)
    assert torch.equal(tiles([small]), to_uint8(small))
