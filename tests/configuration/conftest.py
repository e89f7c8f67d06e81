"""Runs of the real configuration whose training only records what it was given."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anycost.configuration.composition import run_composed
from anycost.configuration.schema import TrainConfig

Runs = list[tuple[TrainConfig, Path]]


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Hydra configures the root logger for each run; leave it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def run_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Runs]:
    """Compose and "run" in an empty folder: arguments -> [(config, run_dir), ...]."""
    monkeypatch.chdir(tmp_path)

    def runs(*arguments: str) -> Runs:
        seen: Runs = []
        run_composed(arguments, lambda config, run_dir: seen.append((config, run_dir)))
        return seen

    return runs
