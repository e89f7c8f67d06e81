"""Everything random is a pure function of (seed, stream name, index): no generator state to save or to share."""

import hashlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *key: int | str) -> int:
    """63-bit seed of the named draw; any change of `seed` or `key` gives an unrelated one."""
    text = "/".join(str(part) for part in (seed, *key))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def python_random(seed: int, *key: int | str) -> random.Random:
    """A fresh `random.Random` for the named draw."""
    return random.Random(derive_seed(seed, *key))


def torch_generator(seed: int, *key: int | str, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A fresh `torch.Generator` on `device` for the named draw."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *key))


def normal(
    seed: int,
    stream: str,
    indices: Sequence[int],
    shape: Sequence[int],
    device: "torch.device | str" = "cpu",
    dtype: "torch.dtype | None" = None,
) -> "torch.Tensor":
    """Standard normal numbers, one independent draw per index: `[len(indices), *shape]`.

    Drawn in float32 on `device` and then converted, so that all dtypes see the same numbers.
    """
    import torch

    out = torch.empty(len(indices), *shape, device=device, dtype=torch.float32)  # not Lightning's default in float64
    generator = torch.Generator(device=device)
    for row, index in zip(out, indices, strict=True):
        row.normal_(generator=generator.manual_seed(derive_seed(seed, stream, index)))
    return out if dtype is None else out.to(dtype)
