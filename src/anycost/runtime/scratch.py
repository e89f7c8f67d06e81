"""Buffers that one picture leaves to the next: fresh memory costs the system as much time as a convolution."""

import contextlib
import threading
from collections.abc import Iterator

import torch
from torch import Tensor

# The C library keeps freed blocks of up to 32 MiB for itself once a block of that size was freed, and then hands them
# out again without the system's page faults. The block is never touched, so it takes no memory.
_JUST_BELOW_32_MIB = (32 << 20) - (1 << 16)


class Scratch:
    """Flat buffers by name, as large as they ever had to be."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def image(self, name: str, channels: int, height: int, width: int, dtype: torch.dtype) -> Tensor:
        """An unset `[1, channels, height, width]`, channels-last, on the buffer `name`."""
        count = channels * height * width
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < count or buffer.dtype != dtype:
            with torch.inference_mode(False):  # else no picture outside of that mode could be made in it
                buffer = self._buffers[name] = torch.empty(count, dtype=dtype, device="cpu")
        return buffer[:count].view(1, height, width, channels).permute(0, 3, 1, 2)


class ScratchPool:
    """Lends each picture in the making a scratch of its own; keeps as many as were ever in use at once."""

    def __init__(self) -> None:
        self._free: list[Scratch] = []
        self._lock = threading.Lock()
        torch.empty(_JUST_BELOW_32_MIB, dtype=torch.uint8, device="cpu")

    @contextlib.contextmanager
    def borrow(self) -> Iterator[Scratch]:
        with self._lock:
            scratch = self._free.pop() if self._free else Scratch()
        try:
            yield scratch
        finally:
            with self._lock:
                self._free.append(scratch)
