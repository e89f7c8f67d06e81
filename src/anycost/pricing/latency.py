"""Wall-clock latency of any callable, alone or in turn with others, and of the layers inside one call."""

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn


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


def interleaved_ms(
    calls: Sequence[Callable[[], object]],
    rounds: int,
    device: torch.device | str = "cpu",
    after_round: Callable[[int], None] | None = None,
) -> list[list[float]]:
    """Milliseconds of each call in each of `rounds` rounds over all of them, after one round to warm up.

    A burst of other work on the machine then falls on all calls alike, not on the one that was measured just then.
    """
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(-1, rounds):
        for call, measured in zip(calls, times, strict=True):
            elapsed = latency_ms(call, device)
            if turn >= 0:
                measured.append(elapsed)
        if after_round is not None and turn >= 0:
            after_round(turn + 1)
    return times


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
