"""What the original networks share: their operations in float64, and the sizes that the tests make them in.

Up-convolutions are written as their definition (zeros in between, the filter, then a convolution); programs differ in
whether the kernel is turned round.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]
BINOMIAL = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64).outer(torch.tensor([1.0, 3, 3, 1]).double()) / 64


def activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def dense(x: Tensor, weight: Tensor, bias: Tensor, lr_mul: float = 1.0) -> Tensor:
    """`weight [out, in]`, stored divided by `lr_mul`."""
    return x @ (weight * (lr_mul / math.sqrt(weight.shape[1]))).t() + bias * lr_mul


def filtered(x: Tensor, before: int, after: int, gain: float = 1.0) -> Tensor:
    """Correlate with the filter after padding with zeros at both ends of both axes."""
    channels = x.shape[1]
    kernel = (BINOMIAL * gain).expand(channels, 1, 4, 4).to(x)
    return F.conv2d(F.pad(x, (before, after, before, after)), kernel, groups=channels)


def spread(x: Tensor) -> Tensor:
    """A zero after each sample, along both axes."""
    batch, channels, height, width = x.shape
    wide = x.new_zeros(batch, channels, height, 2, width, 2)
    wide[:, :, :, 0, :, 0] = x
    return wide.reshape(batch, channels, 2 * height, 2 * width)


def modulated(
    x: Tensor, kernels: Tensor, demodulate: bool, up: bool, turned: bool = False, epsilon: float = 1e-8
) -> Tensor:
    """Convolve sample b of `x` with `kernels[b] [out, in, k, k]`; `turned` convolves instead of correlating."""
    if demodulate:
        kernels = kernels / (kernels.square().sum((2, 3, 4), keepdim=True) + epsilon).sqrt()
    kernels = kernels.flip(3, 4) if turned else kernels
    x = filtered(spread(x), 3, 2, gain=4) if up else F.pad(x, (kernels.shape[-1] // 2,) * 4)
    return torch.cat([F.conv2d(one[None], kernel) for one, kernel in zip(x, kernels, strict=True)])


def minibatch_deviation(x: Tensor) -> Tensor:
    groups = min(len(x), 4)
    grouped = x.reshape(groups, -1, *x.shape[1:])
    deviation = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3)).repeat(groups)
    return torch.cat([x, deviation[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)


@dataclass(frozen=True)
class Styled:
    """A styled convolution: how one program keeps it, in the terms of the papers."""

    weight: Tensor  # [out, in, k, k]
    style: Callable[[Tensor], Tensor]  # w [B, latent] -> [B, in]
    bias: Tensor
    noise: Tensor | None = None  # times its strength


def synthesise(
    constant: Tensor, convolutions: Sequence[Styled], colours: Sequence[Styled], w: Tensor, noise: bool, turned: bool
) -> Tensor:
    """`w [B, latent]`, the same for all layers, -> the picture."""

    def kernels(layer: Styled) -> Tensor:
        scale = 1 / math.sqrt(layer.weight[0].numel())
        return scale * layer.weight[None] * layer.style(w)[:, None, :, None, None]

    x, image = constant.expand(len(w), -1, -1, -1), None
    for point, layer in enumerate(convolutions):
        up = point % 2 == 1
        x = modulated(x, kernels(layer), demodulate=True, up=up, turned=turned and up)
        x = x + layer.noise if noise and layer.noise is not None else x
        x = activate(x + layer.bias[:, None, None])
        if not up:
            rgb = colours[point // 2]
            new = modulated(x, kernels(rgb), demodulate=False, up=False) + rgb.bias[:, None, None]
            image = new if image is None else new + filtered(spread(image), 2, 1, gain=4)
    assert image is not None
    return image


@dataclass(frozen=True)
class Shape:
    """Widths from 4 px up, and lengths, of the networks that the tests make."""

    widths: tuple[int, ...]
    latent: int = 16
    mapping: int = 2

    @property
    def resolution(self) -> int:
        return 4 << (len(self.widths) - 1)

    def side(self, point: int) -> int:
        return 4 << ((point + 1) // 2)

    def inputs(self, point: int) -> int:
        return self.widths[point // 2]

    def outputs(self, point: int) -> int:
        return self.widths[(point + 1) // 2]

    @property
    def points(self) -> range:
        """Styled convolutions: 4 px, then up and plain of each resolution."""
        return range(2 * len(self.widths) - 1)


def normalised(z: Tensor) -> Tensor:
    return z / (z.square().mean(-1, keepdim=True) + 1e-8).sqrt()


def drawing() -> Callable[..., Tensor]:
    """Normal numbers of a shape, in float64."""
    return lambda *shape: torch.randn(shape, dtype=torch.float64)
