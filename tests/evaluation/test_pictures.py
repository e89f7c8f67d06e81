"""Pictures from elsewhere: read like a generator's images; what cannot be measured is named before it starts."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anycost.configuration.schema import DataConfig
from anycost.errors import UserError
from anycost.evaluation.evaluate import evaluate_in_memory
from anycost.evaluation.pictures import GivenPictures
from anycost.evaluation.planning import Plan
from anycost.evaluation.reference import Reference
from anycost.evaluation.subjects import PicturesSubject
from anycost.metrics.batches import Batch
from anycost.metrics.measures import build_measures
from anycost.metrics.protocols import in_training
from anycost.metrics.table import protocols

CPU = torch.device("cpu")


def draw(number: int, side: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty pictures of 16 px."""
    path = tmp_path / "fakes"
    path.mkdir()
    for number in range(30):
        draw(number).save(path / f"{number}.png")
    return path


def subject(path: Path) -> PicturesSubject:
    return PicturesSubject(GivenPictures(path), CPU)


def plan(one: PicturesSubject, source: Any, cache: Path, kind: str) -> Plan:
    reference = Reference(source, DataConfig(name="noise", resolution=16), cache)
    measures = build_measures([in_training(kind, "embedded", "embedded", 20)])
    return Plan(one, measures, reference, "noise", batch_size=7)


def test_a_folder_is_measured_as_its_pixels_are(folder: Path, source: Any, tmp_path: Path) -> None:
    whole = plan(subject(folder), source, tmp_path, "frechet")
    (found,) = evaluate_in_memory(whole)
    measure = whole.measures[0]
    state, reals = measure.empty(), measure.real_empty()
    pixels = torch.from_numpy(np.stack([np.asarray(draw(number)).transpose(2, 0, 1) for number in range(20)]))
    measure.add(state, Batch(pixels), 0)
    measure.add_reals(reals, Batch(source.render(range(20), 16)), 0)
    assert found.value == pytest.approx(measure.values(state, reals)[""], rel=1e-9)
    assert (found.label, found.architecture.resolution, found.images) == ("fakes", 16, 0)
    assert found.weights == GivenPictures(folder).source.fingerprint()


def test_a_zip_gives_the_same_value(folder: Path, source: Any, tmp_path: Path) -> None:
    archive = tmp_path / "fakes.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for picture in folder.iterdir():
            file.write(picture, picture.name)
    values = [evaluate_in_memory(plan(subject(one), source, tmp_path, "kernel"))[0] for one in (folder, archive)]
    assert values[0].value == values[1].value


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda path: draw(1, 8).save(path / "5.png"), r"pictures of several sizes: 0\.png is 16 px, 5\.png is 8 px"),
    (lambda path: draw(1).crop((0, 0, 16, 12)).save(path / "0.png"), r"0\.png is 16x12 pixels, not square"),
    (lambda path: (path / "7.png").write_bytes(b"no picture"), r"7\.png is broken: .*; mend or remove it"),
])
def test_pictures_of_which_no_set_can_be_made(spoil: Callable[[Path], object], message: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(UserError, match=message):
        GivenPictures(folder)


def test_a_picture_whose_pixels_are_damaged(folder: Path, source: Any, tmp_path: Path) -> None:
    """Its header is whole: it is noticed when it is read, and named."""
    buffer = io.BytesIO()
    draw(3).save(buffer, "PNG")
    (folder / "3.png").write_bytes(buffer.getvalue()[:200])
    with pytest.raises(UserError, match=r"3\.png is broken: .*run the same command again"):
        evaluate_in_memory(plan(subject(folder), source, tmp_path, "frechet"))


@pytest.mark.parametrize(("name", "message"), [
    ("consistency_embedded", "metrics=consistency_embedded needs a generator and images=.* are pictures"),
    ("ppl1k_wend_embedded", "needs a generator"),
    ("fd1k_embedded", r"needs 1000 pictures and images=.*fakes has 30; metrics=frechet30_embedded is a distance of so"),
])
def test_protocols_that_do_not_fit(name: str, message: str, folder: Path) -> None:
    with pytest.raises(UserError, match=message):
        subject(folder).check(protocols([name]))


def test_the_protocol_that_fits_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = subject(folder)
    monkeypatch.setattr(GivenPictures, "__len__", lambda self: 1200)
    with pytest.raises(UserError, match=r"needs 5000 pictures .* has 1200; that is enough for fd1k_embedded$"):
        one.check(protocols(["fd5k_embedded"]))


@pytest.mark.parametrize(("path", "message"), [
    ("nowhere", "does not exist"), ("empty", "has no pictures in it"), ("text.txt", "neither a folder"),
])
def test_paths_without_pictures(path: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("words")
    with pytest.raises(UserError, match=message):
        GivenPictures(tmp_path / path)
