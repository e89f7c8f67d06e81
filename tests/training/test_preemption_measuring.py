"""A signal in the middle of a grid, a measurement or a search: saved at once, made up for, equal to the bit."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from anycost.attempts import read_attempts
from anycost.callbacks.after_step import AfterStep
from anycost.callbacks.metrics import MetricsCallback
from anycost.configuration.composition import compose
from anycost.runs import RunDir
from anycost.training import run as run_training

Train = Callable[..., RunDir]
Same = Callable[[RunDir, RunDir], None]

MEASURED = [
    "metrics=embedded", "metrics.samples=8", "metrics.batch_size=4", "metrics.architectures=[full,0.5]",
    "metrics.every_kimg=0.016", "callbacks.grid.every_kimg=0.016", "callbacks.grid.rows=1",
    "callbacks.grid.architectures=[full,0.5]", "callbacks.search.every_kimg=0.016", "callbacks.search.latents=2",
    "callbacks.search.evaluations=2", "metrics.perceptual=embedded", "callbacks.checkpoint.every_kimg=0.032",
]  # fmt: skip
TOTAL = 48
FILES = ("metrics.csv", "metrics.jsonl", "weights.safetensors", "grids/*.png", "search/*")


def results(run: RunDir) -> dict[str, bytes]:
    found = [path for pattern in FILES for path in run.path.glob(pattern)]
    return {str(path.relative_to(run.path)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def whole(arguments: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """The uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_training(compose(*arguments("flexible", f"stage.kimg={TOTAL / 1000}", *MEASURED)), folder)
    assert len(results(RunDir(folder))) == 3 + 4 + 6, "three instants, and the real images"
    return RunDir(folder)


@pytest.fixture
def signal_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, int, Callable[[], object]], None]:
    """`signal_in(callback, images, pieces, act)`: act when the callback has done so many pieces at this image count."""

    def plan(callback: str, images: int, pieces: int, act: Callable[[], object]) -> None:
        ask, seen = AfterStep._round, []

        def act_and_ask(self: AfterStep, stage: object, done: bool) -> bool:
            if type(self).__name__ == callback and stage.clock.images == images:
                seen.append(done)
                if len(seen) == pieces + 1:
                    act()
            return ask(self, stage, done)

        monkeypatch.setattr(AfterStep, "_round", act_and_ask)

    return plan


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("callback", "images", "pieces"), [
    ("GridCallback", 16, 1),
    ("MetricsCallback", 16, 2),
    ("MetricsCallback", 32, 0),
    ("SearchCallback", 32, 3),
    ("MetricsCallback", TOTAL, 1),
])
def test_what_was_interrupted_is_made_up_for(
    train: Train, same_state: Same, whole: RunDir, signal_in: Callable, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, callback: str, images: int, pieces: int,
) -> None:
    """Weights, moments, values, measurements, best list, grids and fronts."""
    signal_in(callback, images, pieces, terminate)
    with pytest.raises(SystemExit) as left:
        train("run", "flexible", TOTAL, *MEASURED)
    assert left.value.code == 143
    run = RunDir(tmp_path / "run")
    assert (run.read_record().state, run.read_record().images) == ("stopped", images)
    monkeypatch.undo()
    train("run", "flexible", TOTAL, *MEASURED)
    assert run.read_record().state == "finished"
    same_state(run, whole)
    assert results(run) == results(whole)
    assert [(one.state, one.images_at_end) for one in read_attempts(run.path)] == [
        ("stopped", images), ("finished", TOTAL)
    ]  # fmt: skip


def test_interrupted_again_while_it_makes_up(
    train: Train, same_state: Same, whole: RunDir, signal_in: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the metrics, then in the search that was left over: the metrics of that image count are not taken again."""
    run, measured = RunDir(tmp_path / "run"), []
    record = MetricsCallback._record
    for callback, pieces in (("MetricsCallback", 1), ("SearchCallback", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(MetricsCallback, "_record", lambda *given: (record(*given), measured.append(1)))
            signal_in(callback, 32, pieces, terminate)
            with pytest.raises(SystemExit):
                train("run", "flexible", TOTAL, *MEASURED)
        monkeypatch.undo()
    assert len(measured) == 2, "at 16 images, and at 32 in the second attempt"
    train("run", "flexible", TOTAL, *MEASURED)
    same_state(run, whole)
    assert results(run) == results(whole)


@pytest.mark.slow
def test_signal_to_the_process_that_waits_interrupts_the_one_that_measures(
    train: Train, same_but_rounding: Same, signal_in: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two processes; only the second one, which waits while the first one measures, gets the signal."""
    options = [*MEASURED, "trainer.precision=64", "data.batch_size=16"]

    others = set(psutil.Process().children())  # which earlier tests of this process left

    def signal_the_other() -> None:
        (child,) = set(psutil.Process().children()) - others
        child.send_signal(signal.SIGUSR1)

    signal_in("MetricsCallback", 16, 1, signal_the_other)
    with pytest.raises(SystemExit) as left:
        train("run", "flexible", TOTAL, *options, "trainer.devices=2")
    assert left.value.code == 128 + signal.SIGUSR1
    run = RunDir(tmp_path / "run")
    assert (run.read_record().state, run.read_record().images) == ("stopped", 16)
    assert "metrics/" not in (run.path / "metrics.csv").read_text(), "interrupted before it was done"
    assert "SIGUSR1: stopping after this step" in (run.path / "process_1.log").read_text()
    monkeypatch.undo()
    train("run", "flexible", TOTAL, *options)
    same_but_rounding(train("alone", "flexible", TOTAL, *options), run)
