"""Thousands of damaged and lying files: each loads and is what it says, or is refused; memory stays flat."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def fuzzed(count: int, seed: int) -> dict[str, float]:
    script = Path(__file__).with_name("fuzz_weights.py")
    finished = subprocess.run(
        [sys.executable, str(script), str(count), str(seed)], capture_output=True, text=True, timeout=280
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


def test_a_hundred_files() -> None:
    result = fuzzed(150, 100_000)
    assert result["refused"] > 100
    assert result["loaded"] > 0
    assert result["peak_growth_mb"] < 200


@pytest.mark.slow
def test_thousands_of_files() -> None:
    result = fuzzed(2500, 200_000)
    assert result["loaded"] > 20
    assert result["slowest_s"] < 10
    assert result["peak_growth_mb"] < 200
