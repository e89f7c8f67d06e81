"""Throughput is logged by images; the steps' time leaves out what happens between them."""

import time
from collections.abc import Callable
from typing import Any

import torch

from anycost.callbacks.throughput import ThroughputCallback, peak_memory_gib


def test_rates_are_of_the_window(train: Callable, stage: Any) -> None:
    train(ThroughputCallback(0.064), 192)
    assert [images for images, _ in stage.logged] == [64, 128, 192]
    for _, values in stage.logged:
        assert values["timing/images_per_sec"] > 0
        assert 0.01 < values["timing/memory_gib"] < 1000


def test_step_time_and_whole_time_differ_by_what_lies_between(stage: Any, trainer: Any) -> None:
    callback = ThroughputCallback(0.064)
    callback.on_train_start(trainer, stage)
    for _ in range(2):
        time.sleep(0.05)  # loading
        callback.on_train_batch_start(trainer, stage, None, 0)
        time.sleep(0.02)
        stage.clock.advance()
        callback.on_train_batch_end(trainer, stage, None, None, 0)
    ((_, values),) = stage.logged
    steps, whole = values["timing/sec_per_kimg"] * 0.064, 64 / values["timing/images_per_sec"]
    assert steps >= 0.04
    assert whole - steps >= 0.1


def test_peak_memory_never_falls() -> None:
    before = peak_memory_gib(torch.device("cpu"))
    block = torch.ones(2**26)
    after = peak_memory_gib(torch.device("cpu"))
    assert after >= before
    assert after >= block.nbytes / 2**30
