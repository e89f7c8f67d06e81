"""Grids: what they show, when they are drawn, and that a continued run draws the same."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anycost.callbacks.grid import GridCallback
from anycost.configuration.schema import GridConfig
from anycost.grids import draw_grid, draw_plain_grid, sample_columns, save_png, tile_side


def flat(value: int, side: int, rows: int) -> torch.Tensor:
    return torch.full((rows, 3, side, side), value, dtype=torch.uint8)


def test_tiles_lie_in_rows_of_latents_and_columns_of_architectures() -> None:
    picture = np.asarray(draw_grid({"full": flat(10, 32, 3), "0.5@8": flat(200, 8, 3)}))
    assert picture.shape == (24 + 3 * 128 + 2 * 2, 2 * 128 + 2, 3)
    for row in range(3):
        top = 24 + row * 130
        assert (picture[top : top + 128, :128] == 10).all()
        assert (picture[top : top + 128, 130:] == 200).all()
    assert (picture[:24, :128] < 100).any(), "the first label is drawn in"
    assert (picture[:24, 130:] < 100).any(), "the second label is drawn in"


def test_small_pictures_are_enlarged_pixel_by_pixel() -> None:
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).expand(1, 3, 8, 8)
    picture = np.asarray(draw_plain_grid(image, rows=1))
    expected = np.kron(np.arange(64).reshape(8, 8), np.ones((16, 16)))
    np.testing.assert_array_equal(picture[..., 0], expected)


@pytest.mark.parametrize(("resolution", "side"), [(4, 128), (32, 128), (128, 128), (256, 256), (1024, 256)])
def test_tiles_are_readable_and_not_huge(resolution: int, side: int) -> None:
    assert tile_side(resolution) == side


def test_long_labels_stay_inside_their_column() -> None:
    picture = np.asarray(draw_grid({"flexible-0123ab@1024-and-more": flat(255, 8, 1), "x": flat(255, 8, 1)}))
    assert (picture[:24, 128:130] == 255).all()


def test_columns_show_the_same_latents(stage: Any) -> None:
    space = stage.space
    columns = sample_columns(stage.ema, {"full": space.full(), "again": space.full(), "low": space.full(8)}, range(3))
    assert torch.equal(columns["full"], columns["again"])
    assert columns["low"].shape == (3, 3, 8, 8)
    part = sample_columns(stage.ema, {"full": space.full()}, [2], batch_size=1)
    assert (part["full"].int() - columns["full"][2:].int()).abs().max() <= 1


def test_a_failed_write_leaves_the_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "grid.png"
    save_png(Image.new("RGB", (4, 4), (1, 2, 3)), path)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    picture = Image.new("RGB", (4, 4))
    monkeypatch.setattr(picture, "save", fail)
    with pytest.raises(RuntimeError):
        save_png(picture, path)
    assert Image.open(path).getpixel((0, 0)) == (1, 2, 3)
    assert [file.name for file in tmp_path.iterdir()] == ["grid.png"]


def grids(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("kimg_*.png"))


def test_grids_come_by_images_and_at_the_end(tmp_path: Path, train: Callable) -> None:
    train(GridCallback(GridConfig(architectures=["full", "0.5@8"]), tmp_path, 0.1), 256, end=True)
    assert grids(tmp_path) == ["kimg_000000.128.png", "kimg_000000.224.png", "kimg_000000.256.png"]
    assert Image.open(tmp_path / "kimg_000000.256.png").size == (2 * 130 - 2, 24 + 6 * 130 - 2)
    assert Image.open(tmp_path / "reals.png").size == (6 * 130 - 2, 6 * 130 - 2)


def test_zero_draws_none(tmp_path: Path, train: Callable) -> None:
    train(GridCallback(GridConfig(), tmp_path, 0), 128, end=True)
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_process_draws(tmp_path: Path, train: Callable, another_process: list) -> None:
    train(GridCallback(GridConfig(), tmp_path, 0.1), 128, end=True)
    assert list(tmp_path.iterdir()) == []
    assert another_process == 6 * [[0.0, 0.0]]  # two grids


def test_a_continued_run_draws_the_same_grid(tmp_path: Path, stage: Any, train: Callable) -> None:
    config = GridConfig(architectures=["full", "0.25"], truncation=0.7)
    train(GridCallback(config, tmp_path / "one", 0.1), 256)
    stage.clock.images = 128
    train(GridCallback(config, tmp_path / "two", 0.1), 256)
    assert grids(tmp_path / "two") == ["kimg_000000.224.png"]
    first, second = (tmp_path / part / "kimg_000000.224.png" for part in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_loggers_that_take_images_get_the_reals_and_the_grid(tmp_path: Path, train: Callable, trainer: Any) -> None:
    taken = []
    trainer.loggers = [
        SimpleNamespace(),
        SimpleNamespace(log_image=lambda key, images, step: taken.append((key, images[0].size, step))),
    ]
    train(GridCallback(GridConfig(rows=2, architectures=["full"]), tmp_path, 0.1), 128)
    size = (6 * 130 - 2, 2 * 130 - 2)
    assert taken == [("reals", size, 0), ("samples", size, 128)]
