"""Processes and micro-batches change nothing but rounding."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from anycost.configuration.composition import compose
from anycost.runs import RunDir
from anycost.training import run

Train = Callable[..., RunDir]
Arguments = Callable[..., list[str]]
DOUBLE = ["trainer.precision=64", "data.batch_size=16"]


Same = Callable[[RunDir, RunDir], None]


@pytest.mark.parametrize("stage", ["stylegan2", "multires", "ada_ch", "flexible", "reduced", "msg_gan"])
def test_micro_batches_equal_the_whole(train: Train, same_but_rounding: Same, stage: str) -> None:
    parts = train("parts", stage, 64, *DOUBLE, "trainer.micro_batch=4")
    same_but_rounding(train("whole", stage, 64, *DOUBLE), parts)


PIPELINE = [
    "stage.stylegan2.kimg=0.064", "stage.multires.kimg=0.032", "stage.ada_ch.kimg=0.064",
    "stage.stylegan2.r1.every=2", "stage.stylegan2.path_length.every=2", "stage.ada_ch.r1.every=2",
    "stage.multires.consistency.perceptual=none", "stage.ada_ch.consistency.perceptual=none",
    "stage.ada_ch.sampled_resolutions=2",
]


@pytest.fixture
def pipeline(arguments: Arguments, tmp_path: Path) -> Callable[..., RunDir]:
    """`pipeline(name, *overrides)`: a pipeline of four, two and four steps of 16 images in float64."""

    def start(name: str, *overrides: str) -> RunDir:
        run(compose(*arguments("pipeline", *DOUBLE, *PIPELINE, *overrides)), tmp_path / name)
        return RunDir(tmp_path / name)

    return start


def test_two_processes_equal_one(
    pipeline: Callable[..., RunDir], same_but_rounding: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1, path length, minibatch-std, mixing, conditioned discriminator, consistency; micro-batches within them."""
    commands = []

    class Recorded(subprocess.Popen):
        def __init__(self, command: list[str], **options: Any) -> None:
            commands.append(command)
            super().__init__(command, **options)

    one = pipeline("one")
    monkeypatch.setattr(subprocess, "Popen", Recorded)
    monkeypatch.setattr(sys, "argv", ["train.py", "seed=99", "-m"])
    two = pipeline("two", "trainer.devices=2", "trainer.micro_batch=4")
    assert commands == [[sys.executable, "-m", "anycost.commands.train", "--resolved", str(two.config)]]
    for stage in ("stylegan2", "multires", "ada_ch"):
        same_but_rounding(RunDir(one.path / stage), RunDir(two.path / stage))
    assert not torch.distributed.is_initialized()
    assert not {"LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"} & set(os.environ)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["ada_ch", "reduced", "msg_gan"])
def test_another_number_of_processes_continues(
    train: Train, same_but_rounding: Same, caplog: pytest.LogCaptureFixture, stage: str
) -> None:
    train("run", stage, 32, *DOUBLE)
    two = train("run", stage, 64, *DOUBLE, "trainer.devices=2")
    lines = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines == ["continuing, but not exact to the bit: processes was 1, is 2"]
    same_but_rounding(train("whole", stage, 64, *DOUBLE), two)
