"""Convolutions of oneDNN with weights that were packed once, and such that write into a given buffer.

PyTorch has these operators for its own compiler; `available` says whether this PyTorch and processor have them.
"""

from functools import lru_cache

import torch
from torch import Tensor

from anycost.networks.ops import fir_kernel

F = torch.nn.functional
_ONE = [1, 1]
_NAMES = ("_convolution_pointwise", "_convolution_pointwise_", "_convolution_transpose_pointwise",
          "_reorder_convolution_weight", "_reorder_convolution_transpose_weight")  # fmt: skip


def available(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the functions below run on `device` in `dtype`."""
    return device.type == "cpu" and dtype in (torch.float32, torch.bfloat16) and _works(dtype)


@lru_cache(maxsize=2)
@torch.no_grad()
def _works(dtype: torch.dtype) -> bool:
    """Whether all operators exist, take what is given to them here, and are right: tried once on a small image.

    They are private to PyTorch, so another version may change them, and bfloat16 is not for every processor.
    """
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in _NAMES):
        return False
    draws = torch.Generator("cpu").manual_seed(0)
    x, weight, weight_up = (
        torch.randn(shape, generator=draws, device="cpu").to(dtype, memory_format=torch.channels_last)
        for shape in ((1, 3, 8, 8), (5, 5, 3, 3), (3, 5, 3, 3))
    )
    bias = torch.arange(5, device="cpu").to(dtype)
    try:
        packed, packed_up = pack(weight, [1, 1], [1, 5, 16, 16]), pack_up(weight_up, [0, 0], [1, 3, 8, 8])
        wide = conv(up(x, packed_up, [0, 0]), packed_filter(5, dtype), [1, 1], groups=5)
        found = conv(wide, packed, [1, 1])
        add_conv(found, wide, packed, bias, [1, 1])
    except (AttributeError, RuntimeError, TypeError):
        return False
    x, weight, weight_up, bias = (one.double() for one in (x, weight, weight_up, bias))
    wide = F.conv2d(F.conv_transpose2d(x, weight_up, stride=2), _filter(5).double(), padding=1, groups=5)
    true = 2 * F.conv2d(wide, weight, padding=1) + bias[:, None, None]
    return bool((found - true).abs().max() < 16 * torch.finfo(dtype).eps * true.abs().max())


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
    weight, shape = _filter(channels).to(dtype).contiguous(), [1, channels, 35, 65]
    return torch.ops.mkldnn._reorder_convolution_weight(weight, _ONE, _ONE, _ONE, channels, shape)


def _filter(channels: int) -> Tensor:
    return (fir_kernel() * 4).cpu().expand(channels, 1, 4, 4)
