"""Convolutions of oneDNN with weights that were packed once, and such that write into a given buffer.

PyTorch has these operators for its own compiler; `available` says whether this PyTorch and device have them.
"""

from functools import lru_cache

import torch
from torch import Tensor

_ONE = [1, 1]
_NAMES = ("_convolution_pointwise", "_convolution_pointwise_", "_convolution_transpose_pointwise",
          "_reorder_convolution_weight", "_reorder_convolution_transpose_weight")  # fmt: skip


def available(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the functions below run on `device` in `dtype`."""
    return device.type == "cpu" and dtype in (torch.float32, torch.bfloat16) and _has_operators()


@lru_cache(maxsize=1)
def _has_operators() -> bool:
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in _NAMES)


def pack(weight: Tensor, padding: list[int], shape: list[int]) -> Tensor:
    """Weight `[out, in, k, k]`, fastest where channels-last -> packed for inputs of about `shape`."""
    return torch.ops.mkldnn._reorder_convolution_weight(weight, padding, _ONE, _ONE, 1, shape)


def pack_up(weight: Tensor, padding: list[int], shape: list[int]) -> Tensor:
    """Weight `[in, out, k, k]`, fastest where channels-last -> packed for `up`."""
    return torch.ops.mkldnn._reorder_convolution_transpose_weight(weight, padding, [0, 0], [2, 2], _ONE, 1, shape)


def conv(x: Tensor, packed: Tensor, padding: list[int], groups: int = 1) -> Tensor:
    """`x [B, in, h, w]`, channels-last, convolved with a packed weight."""
    return torch.ops.mkldnn._convolution_pointwise(x, packed, None, padding, _ONE, _ONE, groups, "none", [], "")


def up(x: Tensor, packed: Tensor, padding: list[int]) -> Tensor:
    """The transposed convolution of stride 2: h rows become `2 h + 1 - 2 padding`."""
    return torch.ops.mkldnn._convolution_transpose_pointwise(
        x, packed, None, padding, [0, 0], [2, 2], _ONE, 1, "none", [], ""
    )


def add_conv(out: Tensor, x: Tensor, packed: Tensor, bias: Tensor, padding: list[int], groups: int = 1) -> None:
    """Add the convolution of `x` and `bias [out]` to what `out` holds, in place."""
    torch.ops.mkldnn._convolution_pointwise_.binary(
        out, x, packed, bias, padding, _ONE, _ONE, groups, "add", 1.0, None, [], None
    )


@lru_cache(maxsize=256)
def packed_filter(channels: int, dtype: torch.dtype) -> Tensor:
    """The filter after an up-convolution, [1, 3, 3, 1] x [1, 3, 3, 1] / 16, for each of `channels`."""
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    weight = torch.outer(taps, taps).expand(channels, 1, 4, 4).to(dtype).contiguous()
    shape = [1, channels, 35, 65]
    return torch.ops.mkldnn._reorder_convolution_weight(weight, _ONE, _ONE, _ONE, channels, shape)
