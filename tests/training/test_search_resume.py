"""A training that stops and continues finds, logs and keeps the same fronts as one that does not."""

from collections.abc import Callable

import pytest

from anycost.loggers.table import read_rows
from anycost.runs import RunDir

OPTIONS = (
    "callbacks.search.every_kimg=0.016", "callbacks.search.latents=2", "callbacks.search.evaluations=2",
    "metrics.perceptual=embedded",
)  # fmt: skip


def fronts(run: RunDir) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run.path / "search").iterdir())}


@pytest.mark.parametrize("precision", ["32", "64", "bf16-mixed"])
def test_a_continued_training_keeps_the_same_fronts(
    train: Callable[..., RunDir], same_state: Callable[[RunDir, RunDir], None], precision: str
) -> None:
    options = (*OPTIONS, f"trainer.precision={precision}")
    whole = train("whole", "flexible", 64, *options)
    train("parts", "flexible", 32, *options)
    parts = train("parts", "flexible", 64, *options)
    same_state(whole, parts)
    assert fronts(whole) == fronts(parts)
    assert len(fronts(whole)) == 8, "four instants, data and picture of each"
    assert any(name.startswith("search/distance_") for name in read_rows(whole.path / "metrics.csv")[-1])
