"""TensorBoard: x-axis in images, each step once after a continued run; a clear message without the extra."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from anycost.configuration.schema import LoggerConfig
from anycost.errors import UserError
from anycost.loggers import tensorboard
from anycost.loggers.building import build_loggers, continue_from
from anycost.runs import RunDir


def attempt(folder: Path, start: int, stop: int) -> None:
    loggers = build_loggers(LoggerConfig(csv=False, tensorboard=True), RunDir(folder), "ada_ch", "faces", {})
    continue_from(loggers, RunDir(folder), start)
    for images in range(start + 32, stop + 1, 32):
        loggers[0].log_metrics({"loss/d": images / 8}, images)
    loggers[0].log_image("samples", [Image.new("RGB", (4, 4))], step=stop)
    loggers[0].save()


def test_a_continued_run_shows_each_step_once(tmp_path: Path) -> None:
    attempt(tmp_path, 0, 160)
    attempt(tmp_path, 96, 256)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss/d")] == [
        (images, images / 8) for images in range(32, 257, 32)
    ]
    assert [event.step for event in events.Images("samples")] == [256]


def test_without_the_extra_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None if name == "tensorboard" else importlib.util)
    with pytest.raises(UserError, match=r"pip install 'anycost\[tensorboard\]'"):
        tensorboard.ImagesTensorBoardLogger(tmp_path)
