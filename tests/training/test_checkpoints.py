"""Checkpoints: damage is found, reported and passed over; the last, the newest and the best are there."""

import logging
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from anycost import checkpoints
from anycost.callbacks.checkpoint import CheckpointCallback
from anycost.configuration.composition import compose
from anycost.configuration.schema import CheckpointConfig
from anycost.errors import UserError
from anycost.runs import RunDir, RunRecord
from anycost.stages.clock import Clock

Train = Callable[..., RunDir]
Same = Callable[[RunDir, RunDir], None]
EVERY_STEP = "callbacks.checkpoint.every_kimg=0.008"


def names(run: RunDir) -> list[str]:
    return sorted(path.name for path in run.checkpoints.iterdir())


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flip_a_bit_of_a_tensor(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    with path.open("r+b") as file:
        file.seek(largest.header_offset + 1000)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("damage", [truncate, empty, flip_a_bit_of_a_tensor])
def test_damaged_newest_is_reported_and_the_one_before_taken(
    train: Train, same_state: Same, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    run = train("damaged", "ada_ch", 24, EVERY_STEP)
    damage(run.checkpoints / "last.ckpt")  # the same file as kimg_000000.024.ckpt
    with caplog.at_level(logging.INFO):
        train("damaged", "ada_ch", 32, EVERY_STEP)
    assert "last.ckpt is damaged" in caplog.text
    assert "taking the one before" in caplog.text
    assert "at 16 images" in caplog.text
    same_state(run, train("whole", "ada_ch", 32))


def test_all_damaged_is_one_error_and_nothing_is_touched(train: Train) -> None:
    run = train("damaged", "ada_ch", 24, EVERY_STEP)
    for name in names(run):
        truncate(run.checkpoints / name)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"all 2 checkpoints in .* are damaged; move the folder away, or start"):
        train("damaged", "ada_ch", 32, EVERY_STEP)
    del before[run.config], before[run.path / "attempts.jsonl"]
    assert {path: path.read_bytes() for path in before} == before


def test_damaged_file_does_not_push_a_good_one_out(train: Train) -> None:
    run = train("damaged", "ada_ch", 24, EVERY_STEP)
    truncate(run.checkpoints / "last.ckpt")
    train("damaged", "ada_ch", 32)
    kept = ["kimg_000000.016.ckpt", "kimg_000000.032.ckpt", "last.ckpt"]
    assert names(run) == [kept[0], "kimg_000000.024.ckpt.damaged", *kept[1:]]
    assert [checkpoints.read(run.checkpoints / name)["images"] for name in kept] == [16, 32, 32]


def test_whatever_byte_is_damaged_is_found_or_harmless(train: Train, tmp_path: Path) -> None:
    whole = (train("run", "ada_ch", 8).checkpoints / "last.ckpt").read_bytes()
    rng, found, path = random.Random(0), 0, tmp_path / "damaged.ckpt"
    expected = checkpoints.read(write(path, whole))
    header, directory = range(120), range(len(whole) - 1500, len(whole))  # where zip itself is at a loss
    for place in [*(rng.randrange(len(whole)) for _ in range(60)), *header, *rng.sample(directory, 150)]:
        changed = bytes([whole[place] ^ 1 << rng.randrange(8)])
        try:
            content = checkpoints.read(write(path, whole[:place] + changed + whole[place + 1 :]))
        except UserError:
            found += 1
        else:
            assert all(torch.equal(x, expected["stage"][name]) for name, x in content["stage"].items())
    assert found > 30


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def foreign_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")


def foreign_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"format": 1}))


def other_torch_file(path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, path)


def program_in_a_torch_file(path: Path) -> None:
    torch.save({"format": 1, "run": os.system}, path)


@pytest.mark.parametrize("make", [foreign_zip, foreign_pickle, other_torch_file, program_in_a_torch_file, empty])
def test_foreign_files_are_refused(train: Train, tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "foreign.ckpt"
    path.touch()
    make(path)
    with pytest.raises(UserError, match=r"foreign.ckpt is (damaged|not a checkpoint)"):
        train("run", "ada_ch", 8, f"resume={path}")


def test_strays_of_a_killed_writer_do_no_harm_and_go(train: Train, same_state: Same) -> None:
    run = train("run", "ada_ch", 8, EVERY_STEP)
    strays = [run.checkpoints / ".kimg_000000.016.ckpt.abc.part", run.checkpoints / ".last.ckpt.part",
              run.path / ".run.json.x.part", run.path / ".metrics.csv.x.part"]
    for stray in strays:
        stray.write_bytes(b"half a file")
    train("run", "ada_ch", 24, EVERY_STEP)
    assert not any(stray.exists() for stray in strays)
    same_state(run, train("whole", "ada_ch", 24))


def test_last_is_another_name_of_the_newest(train: Train) -> None:
    run = train("run", "ada_ch", 32, EVERY_STEP)
    assert names(run) == ["kimg_000000.024.ckpt", "kimg_000000.032.ckpt", "last.ckpt"]
    assert (run.checkpoints / "last.ckpt").samefile(run.checkpoints / "kimg_000000.032.ckpt")


def test_without_hard_links_last_is_a_copy(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    run = train("run", "ada_ch", 16, EVERY_STEP)
    newest = run.checkpoints / "kimg_000000.016.ckpt"
    assert (run.checkpoints / "last.ckpt").read_bytes() == newest.read_bytes()
    train("run", "ada_ch", 24, EVERY_STEP)


@pytest.fixture
def measure(arguments: Callable[..., list[str]], tmp_path: Path) -> Callable[..., list[str]]:
    """`measure(callback, {images: value})`: checkpoints at which `value` was measured, or nothing; the files' names."""
    config, run = compose(*arguments("ada_ch")), RunDir(tmp_path)

    def save(callback: CheckpointCallback, measured: dict[int, float | None]) -> list[str]:
        trainer = SimpleNamespace(is_global_zero=True, strategy=SimpleNamespace(barrier=lambda: None),
                                  callbacks=[callback])
        for images, value in measured.items():
            values = {} if value is None else {"metrics/first": value, "metrics/second": -value}
            stage = SimpleNamespace(clock=Clock(8, images), config=config, adam={}, measured=values,
                                    state_dict=lambda: {"weight": torch.zeros(2)})
            callback.on_train_batch_end(trainer, stage)
        return [name.removeprefix("kimg_000000.").removesuffix(".ckpt") for name in names(run)]

    return save


def callback_of(tmp_path: Path, **options: Any) -> CheckpointCallback:
    return CheckpointCallback(CheckpointConfig(**options), RunDir(tmp_path), RunRecord("ada_ch", "faces"), 0.008)


VALUES = {8: 5.0, 16: 1.0, 24: None, 32: 4.0, 40: 2.0, 48: 3.0, 56: None, 64: None}


@pytest.mark.parametrize(("options", "kept"), [
    ({}, ["016", "056", "064", "last"]),
    ({"keep_best": 2}, ["016", "040", "056", "064", "last"]),
    ({"keep_best": 0, "keep_last": 3}, ["048", "056", "064", "last"]),
    ({"keep_best": 2, "monitor": "metrics/second"}, ["008", "032", "056", "064", "last"]),
    ({"keep_best": 2, "monitor": "metrics/nowhere"}, ["056", "064", "last"]),
])
def test_newest_and_best_stay(
    measure: Callable[..., list[str]], tmp_path: Path, options: dict[str, Any], kept: list[str]
) -> None:
    assert measure(callback_of(tmp_path, **options), VALUES) == kept


def test_best_are_known_after_a_restart(measure: Callable[..., list[str]], tmp_path: Path) -> None:
    first = callback_of(tmp_path)
    measure(first, {images: VALUES[images] for images in (8, 16, 24)})
    second = callback_of(tmp_path)
    second.load_state_dict(checkpoints.read(tmp_path / "checkpoints" / "last.ckpt")["callbacks"]["CheckpointCallback"])
    assert measure(second, {images: VALUES[images] for images in (32, 40, 48, 56)}) == ["016", "048", "056", "last"]
