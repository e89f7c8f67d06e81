"""Whatever a user or the machine gets wrong: one clear message, exit status 2, and nothing lost."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anycost import checkpoints
from anycost.errors import UserError
from anycost.runs import RunDir
from anycost.stages import base

RUN = "logs/train/runs/run"  # the folder of run=run
Refused = Callable[..., str]
Train = Callable[..., RunDir]
Same = Callable[[RunDir, RunDir], None]


@pytest.mark.parametrize(("options", "message"), [
    (["stage=stylegan3"], "stage=stylegan3 does not exist; did you mean stylegan2?"),
    (["stage.r1.gama=1"], "stage.r1.gama does not exist; did you mean stage.r1.gamma?"),
    (["data.path=nowhere"], "data.path=nowhere does not exist"),
    (["data.path=nowhere.zip", "data.kind=zip"], "anycost prepare source=FOLDER output=nowhere.zip resolution=16"),
    (["data.path=empty"], "data.path=empty has no pictures in it"),
    (["data.path=broken"], "none of 2 pictures looked at can be read"),
    (["data.resolution=24"], "data.resolution=24 is not a power of two; take 16 or 32"),
    (["data.resolution=32"], "data.resolution=32 is larger than the pictures"),
    (["data.size=100"], "data.size=100 is more than the 12 pictures"),
    (["paths.logs=broken/a.png"], "Not a directory; choose another place with paths.logs"),
    (["trainer=gpu"], "trainer.accelerator=gpu: torch finds no CUDA device on this machine; use trainer=cpu"),
])
def test_message(refused: Refused, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    Path("empty").mkdir()
    Path("broken").mkdir()
    for name in ("a.png", "b.png"):
        Path("broken", name).write_bytes(b"no picture")
    printed = refused("stylegan2", *options)
    assert message in printed
    assert not list(Path.cwd().rglob("*.ckpt"))


def test_fewer_gpus_than_asked_for(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    message = refused("stylegan2", "trainer=gpu", "trainer.devices=2")
    assert "trainer.devices=2: this machine has 1 CUDA devices; lower it, or use trainer=cpu" in message


@pytest.mark.parametrize("workers", [0, 1])
def test_pictures_that_break_in_the_middle(refused: Refused, workers: int) -> None:
    """Their headers are well, so training starts; in a loader process too the message stands alone."""
    Path("torn").mkdir()
    rng = np.random.default_rng(0)
    for name in ("torn/a.jpg", "torn/b.jpg"):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(name)
        os.truncate(name, os.path.getsize(name) // 2)
    message = refused("stylegan2", "data.path=torn", f"data.workers={workers}")
    assert message == "error: data.path=torn has no usable picture; see the reasons in the log\n"


# ---- the machine


class FullDisk:
    """A file that takes `room` bytes and then fails as a full disk does."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, content: Any) -> int:
        self.room -= len(content)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(content)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *error: Any) -> None:
        self.file.close()


def is_aside(path: Any) -> bool:
    """Whether this is a file that will replace another one."""
    return str(path).endswith(".part")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`full_disk(name, room)`: writing a file of that name fails after `room` bytes."""

    def install(name: str, room: int) -> None:
        real, opened = os.fdopen, os.open

        def open_one(path: Any, *args: Any, **options: Any) -> int:
            full["now"] = is_aside(path) and name in str(path)
            return opened(path, *args, **options)

        def fdopen(*args: Any, **options: Any) -> Any:
            file = real(*args, **options)
            return FullDisk(file, room) if full["now"] else file

        full = {"now": False}
        monkeypatch.setattr(os, "open", open_one)
        monkeypatch.setattr(os, "fdopen", fdopen)

    return install


@pytest.mark.parametrize(("name", "room"), [
    ("kimg_000000.016.ckpt", 0), ("kimg_000000.016.ckpt", 5000), ("weights.safetensors", 100), ("run.json", 10),
    ("metrics.csv", 10), ("config.yaml", 10),
])
def test_full_disk_loses_nothing(
    train: Train, same_state: Same, refused: Refused, full_disk: Callable[..., None], name: str, room: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = "callbacks.checkpoint.every_kimg=0.008"
    run = train(RUN, "ada_ch", 8)
    full_disk(name, room)
    message = refused("ada_ch", "run=run", every)
    assert f"cannot write {run.checkpoints if 'ckpt' in name else run.path}/{name}: " in message
    assert "the disk is full; free some space and run the same command again" in message
    assert checkpoints.read(run.checkpoints / "last.ckpt")["images"] >= 8
    monkeypatch.undo()
    same_state(train(RUN, "ada_ch", 16, every), train("whole", "ada_ch", 16))


def test_no_permission_for_the_logs(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Any, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    message = refused("stylegan2")
    assert "logs/train/runs" in message
    assert "Permission denied; choose another place with paths.logs" in message


def test_no_permission_for_a_file(train: Train, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(RUN, "ada_ch", 16)

    opened = os.open

    def refuse(path: Any, *args: Any, **options: Any) -> int:
        if is_aside(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert "there is no permission to write there" in refused("ada_ch", "run=run", "stage.kimg=0.024")
    assert checkpoints.read(run.checkpoints / "last.ckpt")["images"] == 16


# ---- losses that are not finite


@pytest.mark.parametrize(("phase", "function", "call", "step"), [
    ("discriminator", "discriminator_loss", 4, 4),
    ("r1", "r1_penalty", 2, 4),
    ("generator", "generator_loss", 3, 3),
    ("path_length", "path_lengths", 2, 4),
])
@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_loss_that_is_not_finite_stops_before_the_weights_change(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, function: str, call: int, step: int,
    kind: str,
) -> None:
    calls, real = [], getattr(base, function)

    def spoilt(*args: Any, **options: Any) -> torch.Tensor:
        calls.append(function)
        result = real(*args, **options)
        if len(calls) != call:
            return result
        return result * float("nan") if kind == "loss" else result + Spoil.apply(result)

    monkeypatch.setattr(base, function, spoilt)
    with pytest.raises(UserError) as caught:
        train("run", "stylegan2", 40, "callbacks.nan_guard=true", "callbacks.checkpoint.every_kimg=0.008")
    message, images = str(caught.value), 8 * (step - 1)
    assert f"training stopped: not finite at step {step} ({images} images) in the {phase} phase: train/" in message
    good = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert message.endswith(f"the last good checkpoint is {good}")
    assert checkpoints.read(good)["images"] == images


class Spoil(torch.autograd.Function):
    """Zero, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * float("nan")


def test_run_that_stopped_at_once_has_no_checkpoint_to_name(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "discriminator_loss", lambda real, fake: (real + fake).mean() * float("inf"))
    message = refused("stylegan2", "callbacks.nan_guard=true")
    assert "not finite at step 1 (0 images) in the discriminator phase: train/d_loss=" in message
    assert "there is no checkpoint yet" in message
