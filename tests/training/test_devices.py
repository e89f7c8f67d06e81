"""Threads and locks: what a run takes of its machine."""

import errno
import fcntl
import os
from typing import Any

import pytest
import torch

from anycost.configuration.schema import TrainerConfig
from anycost.runs import RunDir
from anycost.training.devices import set_threads


@pytest.mark.parametrize(("trainer", "cores", "threads"), [
    (TrainerConfig(), 6, 6),
    (TrainerConfig(devices=2), 6, 3),
    (TrainerConfig(devices=4), 2, 1),
    (TrainerConfig(threads=5, devices=2), 2, 5),
])
def test_threads_are_a_fair_share_of_the_cores_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, trainer: TrainerConfig, cores: int, threads: int
) -> None:
    """The variable is what Lightning looks at before it sets threads of its own under DDP."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    set_threads(trainer)
    assert torch.get_num_threads() == threads
    assert os.environ["OMP_NUM_THREADS"] == str(threads)


def test_folder_that_cannot_be_locked_is_used_with_a_warning(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with RunDir(tmp_path).owned():
        assert "cannot be locked (No locks available)" in caplog.text
