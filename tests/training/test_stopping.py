"""Time limits and signals: training ends in good order, says so, and the same command continues it exactly."""

import json
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from anycost.callbacks import stopping
from anycost.callbacks.metrics import MetricsCallback
from anycost.commands import main
from anycost.configuration.composition import compose
from anycost.runs import RunDir
from anycost.training import run as run_training

Train = Callable[..., RunDir]
Same = Callable[[RunDir, RunDir], None]


@pytest.fixture
def time_is_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let a minute pass for the callback that watches the deadline."""
    real = stopping.time.monotonic
    return lambda: monkeypatch.setattr(stopping.time, "monotonic", lambda: real() + 60)


def test_time_limit(
    train: Train, same_state: Same, at_image: Callable, time_is_up: Callable, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_image(24, time_is_up)
    run = train("run", "ada_ch", 48, "trainer.max_minutes=0.9")
    assert "time is up, stopped at 24 of 48 images; the same command continues" in caplog.text
    assert json.loads((run.path / "run.json").read_text()) == {
        "stage": "ada_ch", "data": "folder", "state": "stopped", "images": 24, "attempts": 1,
    }
    assert run.weights.exists()
    monkeypatch.undo()
    same_state(train("run", "ada_ch", 48), train("whole", "ada_ch", 48))
    assert run.read_record().state == "finished"
    assert run.read_record().attempts == 2


def test_time_that_is_up_with_the_last_image_finishes(train: Train, at_image: Callable, time_is_up: Callable) -> None:
    at_image(24, time_is_up)
    assert train("run", "ada_ch", 24, "trainer.max_minutes=0.9").read_record().state == "finished"


@pytest.mark.parametrize(("number", "left"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_signal_saves_without_measuring_and_leaves(
    train: Train, same_state: Same, at_image: Callable, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, left: type[BaseException],
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    at_image(24, lambda: os.kill(os.getpid(), number))
    with monkeypatch.context() as patch:
        patch.setattr(MetricsCallback, "measure", lambda *_: pytest.fail("a signal leaves no time to measure"))
        with pytest.raises(left) as caught:
            train("run", "ada_ch", 48, "metrics=embedded")
    assert number == signal.SIGINT or caught.value.code == 143
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    name = signal.Signals(number).name
    assert f"{name}: stopping after this step" in capfd.readouterr().out
    assert f"stopped by {name} at 24 of 48 images; the same command continues" in caplog.text
    run = RunDir(tmp_path / "run")
    assert (run.read_record().state, run.read_record().images) == ("stopped", 24)
    monkeypatch.undo()
    same_state(train("run", "ada_ch", 48), train("whole", "ada_ch", 48))


def test_pipeline_shares_out_its_time_and_starts_later_stages_again(
    arguments: Callable[..., list[str]], same_state: Same, at_image: Callable, time_is_up: Callable, tmp_path: Path,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What stages 2 and 3 made of an unfinished stage 1 is set aside: the result is that of a run without a limit."""
    lengths = [f"stage.{stage}.kimg=0.048" for stage in ("stylegan2", "multires", "ada_ch")]
    none = [f"stage.{stage}.consistency.perceptual=none" for stage in ("multires", "ada_ch")]
    options = arguments("pipeline", *lengths, *none)
    at_image(24, time_is_up)
    first = run_training(compose(*options, "trainer.max_minutes=0.9"), tmp_path / "run").stages
    assert [one.read_record().images for one in first.values()] == [24, 8, 8]
    assert [one.read_record().state for one in first.values()] == ["stopped"] * 3
    monkeypatch.undo()
    caplog.set_level(logging.INFO)
    second = run_training(compose(*options), tmp_path / "run").stages
    assert "an earlier stage trains on, so multires will start again" in caplog.text
    assert RunDir(tmp_path / "run" / "ada_ch-before").read_record().images == 8
    whole = run_training(compose(*options), tmp_path / "whole").stages
    for stage in ("stylegan2", "multires", "ada_ch"):
        same_state(second[stage], whole[stage])
    caplog.clear()
    run_training(compose(*options), tmp_path / "run")
    assert [text for text in caplog.messages if "is finished: 48 images" not in text] == []
    assert len(caplog.messages) == 3


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_status_after_a_signal(
    arguments: Callable[..., list[str]], at_image: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    number: int, status: int,
) -> None:
    """The status tells a cluster that the job is not complete; nothing else of a sweep starts."""
    monkeypatch.chdir(tmp_path)
    at_image(8, lambda: os.kill(os.getpid(), number))
    try:
        left = main(["train", *arguments("ada_ch", "stage.kimg=0.016", "-m", "seed=1,2")])
    except SystemExit as error:
        left = error.code
    assert left == status
    assert len(list(tmp_path.rglob("last.ckpt"))) == 1
