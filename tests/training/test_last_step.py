"""A run that is stopped or killed between its last step and its end is measured all the same."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from anycost.callbacks.metrics import MetricsCallback
from anycost.errors import UserError
from anycost.runs import RunDir

Train = Callable[..., RunDir]
MEASURED = ["metrics=embedded", "metrics.samples=8", "metrics.architectures=[full]"]


class Killed(BaseException):
    pass


def results(run: RunDir) -> list[str]:
    return [(run.path / name).read_text() for name in ("metrics.csv", "metrics.jsonl")]


def test_killed_while_the_end_is_measured(
    train: Train, same_state: Callable[[RunDir, RunDir], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The checkpoint of the last step is there already, so no image is left to train."""
    options = [*MEASURED, "callbacks.checkpoint.every_kimg=0.008", "callbacks.grid.every_kimg=1"]

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MetricsCallback, "measure", kill)
        with pytest.raises(Killed):
            train("run", "stylegan2", 16, *options)
    run = RunDir(tmp_path / "run")
    assert (run.checkpoints / "kimg_000000.016.ckpt").exists()
    (run.grids / "kimg_000000.016.png").unlink()
    train("run", "stylegan2", 16, *options)
    whole = train("whole", "stylegan2", 16, *options)
    assert run.read_record().state == "finished"
    assert results(run) == results(whole)
    assert (run.grids / "kimg_000000.016.png").exists()
    same_state(run, whole)


@pytest.mark.parametrize("moment", ["last step", "measuring"])
def test_signal_at_the_end_leaves_the_measuring_to_the_next_start(
    train: Train, same_state: Callable[[RunDir, RunDir], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    moment: str,
) -> None:
    """All images are seen, but the run is not finished; the status tells that nothing that builds on it may start."""
    kind, hook = {
        "last step": (MetricsCallback, "on_train_batch_end"),
        "measuring": (MetricsCallback, "measure"),
    }[moment]
    real = getattr(kind, hook)

    def interrupted(callback: MetricsCallback, trainer: object, stage: object, *rest: object) -> None:
        if stage.clock.images == 16:
            os.kill(os.getpid(), signal.SIGTERM)
        real(callback, trainer, stage, *rest)

    monkeypatch.setattr(kind, hook, interrupted)
    with pytest.raises(SystemExit) as left:
        train("run", "stylegan2", 16, *MEASURED)
    assert left.value.code == 143
    run = RunDir(tmp_path / "run")
    assert (run.read_record().state, run.read_record().images) == ("stopped", 16)
    assert not (run.path / "metrics.jsonl").exists()
    monkeypatch.undo()
    train("run", "stylegan2", 16, *MEASURED)
    whole = train("whole", "stylegan2", 16, *MEASURED)
    assert run.read_record().state == "finished"
    assert results(run) == results(whole)
    same_state(run, whole)


@pytest.mark.parametrize("key", ["metrics.architectures", "callbacks.grid.architectures"])
def test_architectures_that_are_not_understood_stop_at_the_start(train: Train, key: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ratio 0\.3 is not one of"):
        train("run", "stylegan2", 16, *MEASURED, f"{key}=[full,0.3]")
    assert not list(tmp_path.rglob("*.ckpt"))
