"""Latency is the median of the measured calls, in milliseconds."""

import time

import pytest
import torch

from anycost.pricing.latency import device_name, median_latency_ms


def test_counts_calls_and_measures_milliseconds(clock: None) -> None:
    calls = []

    def call() -> None:
        calls.append(None)
        time.sleep(0.2 if len(calls) in (1, 2, 4) else 0.01)

    median = median_latency_ms(call, warmup=2, repeats=5)
    assert median == pytest.approx(10), "two slow warm-ups and one outlier do not count"
    assert len(calls) == 7


def test_names_the_device() -> None:
    assert device_name("cpu") == f"cpu ({torch.get_num_threads()} threads)"
