"""The primitives of StyleGAN2 as its paper writes them (Karras et al. 2020), without tricks for speed.

Activations are [N, C, H, W], kernels [out, in, k, k]; any floating dtype; twice differentiable.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def channels_at(resolution: int, multiplier: float, channel_cap: int) -> int:
    """Full width of the layers at `resolution` px: 16384 / resolution times the multiplier, capped."""
    return min(channel_cap, int(16384 / resolution * multiplier))


def fir(x: Tensor, gain: float, pad: tuple[int, int]) -> Tensor:
    """Filter with [1,3,3,1] x [1,3,3,1] / 64 times `gain`; `pad` is (before, after) on both axes, zeros."""
    line = x.new_tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(line, line) * (gain / 64)
    channels = x.shape[1]
    return F.conv2d(F.pad(x, (*pad, *pad)), kernel.expand(channels, 1, 4, 4), groups=channels)


def upsample(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W]: a zero after each sample, then the filter with gain 4."""
    n, c, h, w = x.shape
    spread = F.pad(x.reshape(n, c, h, 1, w, 1), (0, 1, 0, 0, 0, 1)).reshape(n, c, 2 * h, 2 * w)
    return fir(spread, gain=4.0, pad=(2, 1))


def activate(x: Tensor, bias: Tensor) -> Tensor:
    """Add one bias per channel, leaky ReLU of slope 0.2, times sqrt(2)."""
    shape = (1, -1) + (1,) * (x.dim() - 2)
    return F.leaky_relu(x + bias.reshape(shape), 0.2) * math.sqrt(2)


class Dense(nn.Module):
    """Fully connected layer with equalised learning rate; the stored weight has deviation 1 / `lr_mul`."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, lr_mul: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_mul)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.lr_mul = lr_mul

    def forward(self, x: Tensor) -> Tensor:
        scale = self.lr_mul / math.sqrt(self.weight.shape[1])
        return F.linear(x, self.weight * scale, self.bias * self.lr_mul)
