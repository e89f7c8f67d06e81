"""N + N images equal 2 N to the bit: weights, averages, optimisers, path-length mean and logged values."""

from collections.abc import Callable
from itertools import product

import pytest

from anycost import checkpoints
from anycost.runs import RunDir
from anycost.stages.clock import Clock

Train = Callable[..., RunDir]
Same = Callable[[RunDir, RunDir], None]


STAGES = ["stylegan2", "multires", "ada_ch", "flexible"]


@pytest.mark.parametrize(("stage", "precision"), [
    *product(STAGES, ["32", "bf16-mixed"]), ("ada_ch", "64"), ("reduced", "32"), ("msg_gan", "32"),
])
def test_halves_equal_the_whole(train: Train, same_state: Same, stage: str, precision: str) -> None:
    """24 images are 3 steps: in the middle of a window of logged values, of R1 and of path length (2 steps each)."""
    option = f"trainer.precision={precision}"
    train("halves", stage, 24, option)
    same_state(train("halves", stage, 48, option), train("whole", stage, 48, option))


@pytest.mark.parametrize(("first", "second"), [(0, 2), (2, 0)])
def test_loader_processes_change_nothing(train: Train, same_state: Same, first: int, second: int) -> None:
    train("halves", "ada_ch", 24, f"data.workers={first}")
    halves = train("halves", "ada_ch", 48, f"data.workers={second}")
    same_state(halves, train("whole", "ada_ch", 48))


@pytest.mark.parametrize("options", [
    ["model.checkpointing=true", "trainer.micro_batch=4"],
    ["callbacks.ema.enabled=false", "stage.generator_noise=batch", "data.cache=true"],
])
def test_under_other_options(train: Train, same_state: Same, options: list[str]) -> None:
    train("halves", "stylegan2", 24, *options)
    same_state(train("halves", "stylegan2", 48, *options), train("whole", "stylegan2", 48, *options))


@pytest.mark.parametrize("crash_at", [8, 40])
def test_crash_between_checkpoints(
    train: Train, same_state: Same, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """Rows that were logged after the checkpoint are logged again, once."""
    whole = train("whole", "stylegan2", 80)
    advance = Clock.advance

    def crash(clock: Clock) -> None:
        if clock.images == crash_at:
            raise ZeroDivisionError
        advance(clock)

    every = "callbacks.checkpoint.every_kimg=0.024"
    with monkeypatch.context() as patch:
        patch.setattr(Clock, "advance", crash)
        with pytest.raises(ZeroDivisionError):
            train("crashed", "stylegan2", 80, every)
    same_state(train("crashed", "stylegan2", 80, every), whole)


def test_moments_are_continued_under_the_rates_of_the_configuration(train: Train) -> None:
    """`resume=PATH` into a run of another learning rate: the rate is the new one."""
    first = train("first", "stylegan2", 24)
    second = train("second", "stylegan2", 32, f"resume={first.path}", "stage.optimizer.learning_rate=0.001")
    adam = checkpoints.read(second.checkpoints / "last.ckpt")["optimizers"]["generator"]
    assert adam["param_groups"][0]["lr"] == pytest.approx(0.001 * 2 / 3)
    assert next(iter(adam["state"].values()))["step"] == 4 + 2
