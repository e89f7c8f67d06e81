"""Operators shared by generator and discriminator: equalised layers, the FIR filter, modulated convolution.

Written for speed with plain operators: styles scale activations and demodulation scales outputs, so that weights stay
static and every convolution is one dense channels-last call [StyleGAN2, Eq. 1-3, in the equivalent activation form].
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SQRT2 = math.sqrt(2.0)
_FIR_TAPS = (1.0, 3.0, 3.0, 1.0)


def compute_dtype(x: Tensor) -> torch.dtype:
    """Dtype of convolutions: autocast's where it is switched on, else that of `x`."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def fir_kernel() -> Tensor:
    """The 4x4 binomial kernel [1, 3, 3, 1] x [1, 3, 3, 1] with sum 1."""
    taps = torch.tensor(_FIR_TAPS)
    return torch.outer(taps, taps) / taps.sum() ** 2


def fir(x: Tensor, kernel: Tensor, padding: int, stride: int = 1, gain: float = 1.0) -> Tensor:
    """Filter each channel of `x` `[B, C, h, w]` with the 4x4 `kernel` (symmetric, so flipping is idle).

    Two uses: stride 1, any padding up to 3; stride 2 with padding 1 and an even size.
    """
    return _Fir.apply(x, kernel * gain, padding, stride)


class _Fir(torch.autograd.Function):
    """The filter and its adjoint as forward convolutions: a depthwise convolution's own backward is far slower."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, padding: int, stride: int) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.padding, ctx.stride = padding, stride
        return F.conv2d(x, _depthwise(kernel, x), padding=padding, stride=stride, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (kernel,) = ctx.saved_tensors
        return _FirAdjoint.apply(grad, kernel, ctx.padding, ctx.stride), None, None, None


class _FirAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor, kernel: Tensor, padding: int, stride: int) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.padding, ctx.stride = padding, stride
        channels = grad.shape[1]
        if stride == 1:
            return F.conv2d(grad, _depthwise(kernel, grad), padding=3 - padding, groups=channels)
        # On a CPU the strided adjoint is fast in fp32 alone (bf16: 80 times slower).
        wide = grad.float() if grad.dtype == torch.bfloat16 and not grad.is_cuda else grad
        out = F.conv_transpose2d(wide, _depthwise(kernel, wide), stride=2, padding=padding, groups=channels)
        return out.to(grad.dtype)

    @staticmethod
    def backward(ctx: Any, x: Tensor) -> tuple[Tensor | None, ...]:
        (kernel,) = ctx.saved_tensors
        return _Fir.apply(x, kernel, ctx.padding, ctx.stride), None, None, None


def _depthwise(kernel: Tensor, x: Tensor) -> Tensor:
    return kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)


def upsample_rgb(x: Tensor, kernel: Tensor) -> Tensor:
    """Double the size of an RGB image: zero-insertion, the FIR filter, gain 4; zeros beyond the border."""
    weight = (kernel * 4).to(x.dtype).expand(x.shape[1], 1, 4, 4)
    return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=x.shape[1])


def dense_slice(weight: Tensor, out_channels: int, in_channels: int, dtype: torch.dtype) -> Tensor:
    """The leading `[out, in]` part of a convolution weight, dense channels-last in `dtype`."""
    return weight[:out_channels, :in_channels].to(dtype=dtype, memory_format=torch.channels_last)


def prefix(weight: Tensor, *sizes: int) -> Tensor:
    """The leading part of `weight`, or `weight` itself where that is all: a slice costs a copy in the backward pass."""
    return weight if weight.shape[: len(sizes)] == sizes else weight[tuple(map(slice, sizes))]


class EqualLinear(nn.Module):
    """Fully connected layer with equalised learning rate: stores N(0, 1)/lr_mul, applies lr_mul/sqrt(fan_in).

    Args:
        bias_init: initial bias after its own factor `lr_mul`.
        activation: leaky ReLU 0.2 with gain sqrt(2).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        lr_mul: float = 1.0,
        bias_init: float = 0.0,
        activation: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_mul)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_mul))
        self.lr_mul = lr_mul
        self.gain = lr_mul / math.sqrt(in_features)
        self.activation = activation

    def forward(self, x: Tensor, out_features: int | None = None) -> Tensor:
        """`[B, in] -> [B, out]`, in the dtype of the parameters.

        With `out_features`, the layer of that many outputs and the inputs of `x`, with the gain of that fan-in.
        """
        if out_features is None:
            return self._product(x, self.weight, self.bias, self.gain)
        weight, bias = prefix(self.weight, out_features, x.shape[-1]), prefix(self.bias, out_features)
        return self._product(x, weight, bias, self.lr_mul / math.sqrt(x.shape[-1]))

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor, fan_in_gain: float) -> Tensor:
        gain = SQRT2 if self.activation else 1.0
        out = F.linear(x * (fan_in_gain * gain), weight, bias * (self.lr_mul * gain))
        return F.leaky_relu(out, 0.2, inplace=True) if self.activation else out


class EqualConv(nn.Module):
    """Convolution with equalised learning rate. The caller's `gain` is folded into weight and bias.

    Called with fewer inputs or `out_channels` it is the convolution of these first channels, with their fan-in's gain.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.stride, self.padding = stride, padding

    def part(self, out_channels: int, in_channels: int) -> Tensor:
        """The weight `[out_channels, in_channels, k, k]` of the first channels."""
        return prefix(self.weight, out_channels, in_channels)

    def forward(
        self, x: Tensor, gain: float = 1.0, with_bias: bool = True, out_channels: int | None = None
    ) -> Tensor:
        """`[B, in, h, w] -> [B, out, h', w']`, `gain * (conv(x) + bias)`, in the dtype of `x`."""
        weight = self.part(out_channels or len(self.weight), x.shape[1])
        scale = 1 / math.sqrt(weight.shape[1:].numel())
        weight = (weight * (scale * gain)).to(x.dtype)
        bias = (prefix(self.bias, len(weight)) * gain).to(x.dtype) if self.bias is not None and with_bias else None
        return F.conv2d(x, weight, bias, stride=self.stride, padding=self.padding)


class ModulatedConv(nn.Module):
    """What styled convolutions and toRGB share: a weight, the affine map from w to a style, prefix slicing.

    The weight scale is that of the *full* fan-in even when inputs are sliced (trap 12); `fan_in_gain` is what
    `Generator.extract` folds for that.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, latent_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.modulation = EqualLinear(latent_dim, in_channels, bias_init=1.0)
        self.scale = 1 / math.sqrt(in_channels * kernel**2)

    def style(self, w: Tensor, in_channels: int) -> Tensor:
        """`[B, latent_dim] -> [B, in_channels]`: the first channels of the style, with the weight scale folded in."""
        layer = self.modulation
        style = F.linear(w * layer.gain, layer.weight[:in_channels], layer.bias[:in_channels])
        return style * self.scale


class StyledConv(ModulatedConv):
    """Modulated 3x3 convolution with demodulation, noise, bias and leaky ReLU; doubles the size if `up`."""

    noise: Tensor
    kernel: Tensor

    def __init__(self, in_channels: int, out_channels: int, resolution: int, latent_dim: int, up: bool) -> None:
        super().__init__(in_channels, out_channels, 3, latent_dim)
        self.up = up
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))
        self.register_buffer("kernel", fir_kernel(), persistent=False)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor, out_channels: int) -> Tensor:
        """`x [B, c, h, w]`, `w [B, latent_dim]`, `noise [1 or B, 1, r, r]` -> `[B, out_channels, r, r]`.

        `x` arrives in the compute dtype; style and demodulation are computed in the parameters' dtype.
        """
        in_channels = x.shape[1]
        style = self.style(w, in_channels)
        demodulation = self._demodulation(style, out_channels)
        weight = dense_slice(self.weight, out_channels, in_channels, x.dtype)
        x = x * style.to(x.dtype)[:, :, None, None]
        if self.up:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = fir(x, self.kernel, padding=1, gain=4.0)
        else:
            x = F.conv2d(x, weight, padding=1)
        return self._tail(x, demodulation, noise)

    def _demodulation(self, style: Tensor, out_channels: int) -> Tensor:
        power = self.weight[:out_channels, : style.shape[1]].square().sum((2, 3))
        return torch.rsqrt(style.square() @ power.t() + 1e-8)

    def _tail(self, x: Tensor, demodulation: Tensor, noise: Tensor) -> Tensor:
        # The gain sqrt(2) of the leaky ReLU is positive, so it moves into the three small tensors before it.
        factor = (demodulation * SQRT2).to(x.dtype)[:, :, None, None]
        noise = (noise * (self.noise_strength * SQRT2)).to(x.dtype)
        bias = (self.bias[: x.shape[1]] * SQRT2).to(x.dtype)[:, None, None]
        out = torch.addcmul(noise, x, factor).add_(bias)
        return F.leaky_relu(out, 0.2, inplace=True)


class ToRGB(ModulatedConv):
    """Modulated 1x1 convolution to RGB without demodulation."""

    def __init__(self, in_channels: int, latent_dim: int) -> None:
        super().__init__(in_channels, 3, 1, latent_dim)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """`[B, c, r, r] -> [B, 3, r, r]` in the dtype of the parameters."""
        style = self.style(w, x.shape[1])
        weight = dense_slice(self.weight, 3, x.shape[1], x.dtype)
        out = F.conv2d(x * style.to(x.dtype)[:, :, None, None], weight)
        return out.to(self.bias.dtype) + self.bias[:, None, None]
