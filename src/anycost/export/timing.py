"""How long an exported file takes beside the plain generator."""

import statistics
import time
from collections.abc import Callable

import torch

_SECONDS = 2.0
_ROUNDS = 30


@torch.no_grad()
def interleaved_medians(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of each, measured in turns, so that other work on the machine falls on all alike.

    Stops after 30 rounds or two seconds, whichever is sooner, but not before the third round.
    """
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + _SECONDS
    for turn in range(_ROUNDS):
        if turn >= 3 and time.perf_counter() > end:
            break
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}
