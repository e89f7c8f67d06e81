"""Wall-clock latency of any callable, alone or in turn with others, and of the layers inside one call."""

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

LEAST_ROUNDS, MOST_ROUNDS = 5, 200
Measured = TypeVar("Measured")


def median_latency_ms(
    call: Callable[[], object],
    warmup: int = 3,
    repeats: int = 10,
    device: torch.device | str = "cpu",
) -> float:
    """Median milliseconds of `call()` after `warmup` unmeasured calls; a CUDA `device` is waited for.

    The median, because a busy machine only ever adds time, in bursts.
    """
    for _ in range(warmup):
        latency_ms(call, device)
    return statistics.median(latency_ms(call, device) for _ in range(repeats))


def latency_ms(call: Callable[[], object], device: torch.device | str = "cpu") -> float:
    """Milliseconds of one `call()`, from an idle device to an idle device."""
    device = torch.device(device)
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return 1000 * (time.perf_counter() - start)


def in_rounds(
    measures: Sequence[Callable[[], Measured]], seconds: float, report: Callable[[str], None] | None = None
) -> list[list[Measured]]:
    """What each of `measures` returns in each round over all of them, for about `seconds`, after one to warm up.

    A burst of other work on the machine then falls on all of them alike, not on the one that ran just then.
    There are at least `LEAST_ROUNDS` and at most `MOST_ROUNDS` rounds; `report` is told about them now and then.
    """
    start = time.perf_counter()
    for measure in measures:
        measure()
    round_sec = time.perf_counter() - start
    rounds = min(max(int(seconds / round_sec), LEAST_ROUNDS), MOST_ROUNDS)
    results: list[list[Measured]] = [[] for _ in measures]
    for turn in range(rounds):
        for measure, found in zip(measures, results, strict=True):
            found.append(measure())
        if report is not None and (turn + 1) % max(rounds // 4, 1) == 0:
            report(f"round {turn + 1} of {rounds}, {len(measures)} architectures in turn")
    return results


def layer_times_ms(
    call: Callable[[], object], modules: Sequence[nn.Module], device: torch.device | str = "cpu"
) -> list[float]:
    """Milliseconds of one `call()` cut where each of `modules` begins: what precedes the first, then one per module.

    They sum to the whole call. The modules must run once each, in this order.
    """
    device = torch.device(device)
    marks = [_mark(device)]
    hooks = [module.register_forward_pre_hook(lambda *_: marks.append(_mark(device))) for module in modules]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    marks.append(_mark(device))
    _wait(device)
    return [_between(first, second) for first, second in pairwise(marks)]


def told_times_ms(
    call: Callable[[Callable[[int], None]], object], layers: int, device: torch.device | str = "cpu"
) -> list[float]:
    """As `layer_times_ms`, of a `call(begin)` that tells `begin` the place of the layer which runs from now on.

    A layer may begin several times; its times are added.
    """
    device = torch.device(device)
    marks = [(-1, _mark(device))]
    call(lambda place: marks.append((place, _mark(device))))
    marks.append((layers, _mark(device)))
    _wait(device)
    times = [0.0] * (1 + layers)
    for (place, start), (_, end) in pairwise(marks):
        times[1 + place] += _between(start, end)
    return times


def device_name(device: torch.device | str) -> str:
    """What a latency was measured on, for tables: the GPU's name, or `cpu (N threads)`."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({torch.get_num_threads()} threads)"


def _mark(device: torch.device) -> "float | torch.cuda.Event":
    """A moment: of the clock, or in the GPU's own queue."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(first: "float | torch.cuda.Event", second: "float | torch.cuda.Event") -> float:
    if isinstance(first, float) and isinstance(second, float):
        return 1000 * (second - first)
    return first.elapsed_time(second)  # type: ignore[union-attr, arg-type]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
