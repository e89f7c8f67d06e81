"""Wall-clock latency of any callable."""

import statistics
import time
from collections.abc import Callable

import torch


def median_latency_ms(
    call: Callable[[], object],
    warmup: int = 3,
    repeats: int = 10,
    device: torch.device | str = "cpu",
) -> float:
    """Median milliseconds of `call()` after `warmup` unmeasured calls; a CUDA `device` is waited for.

    The median, because a busy machine only ever adds time, in bursts.
    """
    device = torch.device(device)
    times = []
    for repeat in range(-warmup, repeats):
        _wait(device)
        start = time.perf_counter()
        call()
        _wait(device)
        if repeat >= 0:
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def device_name(device: torch.device | str) -> str:
    """What a latency was measured on, for tables: the GPU's name, or `cpu (N threads)`."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({torch.get_num_threads()} threads)"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
