"""What a machine could do at best: operations counted as they run, and the measured peak of one convolution."""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class OperationCounter(TorchDispatchMode):
    """Counts floating-point operations (2 per multiply-add) of convolutions and matrix products inside its context."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = getattr(func, "_overloadpacket", None)
        if packet in flop_registry:
            self.total += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        return out


def count_operations(call: Callable[[], object]) -> int:
    """Floating-point operations of one `call`."""
    with OperationCounter() as counter:
        call()
    return counter.total


@torch.no_grad()
def peak_operations_per_sec(dtype: torch.dtype, channels: int = 64, side: int = 64, repeats: int = 20) -> float:
    """The best of several runs of a dense channels-last 3x3 convolution with the present number of threads."""
    x = torch.randn(16, channels, side, side).to(dtype=dtype, memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3).to(dtype=dtype, memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        F.conv2d(x, weight, padding=1)
        best = min(best, time.perf_counter() - start)
    return 2 * x.numel() * channels * 9 / best
