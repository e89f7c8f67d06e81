"""The layers of a frozen sub-generator in plain operators, for any device, dtype and batch.

Styles scale activations and demodulation scales outputs, so that weights stay static and every convolution is one
dense channels-last call. The skip image is planar float32.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from anycost.networks.ops import SQRT2, fir_kernel
from anycost.runtime import onednn
from anycost.runtime.weights import ModulatedWeights, RGBWeights, StyledWeights

F = nn.functional


class _Modulated(nn.Module):
    modulation: Tensor
    modulation_bias: Tensor
    bias: Tensor

    def __init__(self, weights: ModulatedWeights, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.register_buffer("modulation", weights.modulation)
        self.register_buffer("modulation_bias", weights.modulation_bias)

    def style(self, code: Tensor) -> Tensor:
        """w `[B, latent_dim]` -> `[B, in]`, float32, with the weight scale folded in."""
        return F.linear(code, self.modulation, self.modulation_bias)


class FrozenConv(_Modulated):
    """One styled 3x3 convolution, which doubles the size if `up`."""

    weight: Tensor
    power: Tensor
    noise: Tensor

    def __init__(self, weights: StyledWeights, dtype: torch.dtype) -> None:
        super().__init__(weights, dtype)
        self.up, self.noise_strength = weights.up, weights.noise_strength
        self.outputs, self.inputs = weights.power.shape
        self.register_buffer("bias", weights.bias.to(dtype))
        self.register_buffer("power", weights.power)
        self.register_buffer("noise", weights.noise)
        self._keep_weight(weights.weight)

    def _keep_weight(self, weight: Tensor) -> None:
        self.register_buffer("weight", weight.to(self.dtype, memory_format=torch.channels_last))
        if self.up:
            kernel = (fir_kernel() * 4).to(self.weight)
            self.register_buffer("filter", kernel.expand(self.outputs, 1, 4, 4).contiguous())

    @property
    def own_bytes(self) -> int:
        """What the weight takes in the layout of the dtype."""
        return self.outputs * self.inputs * 9 * self.dtype.itemsize

    def demodulation(self, style: Tensor) -> Tensor:
        """Style `[B, in]` -> `[B, out]`: what makes every output of unit variance, times sqrt(2)."""
        return torch.rsqrt(style.square() @ self.power.t() + 1e-8) * SQRT2

    def scaled_noise(self, noise: Tensor | None) -> Tensor | None:
        """A noise map times its strength, in the dtype of the convolution; None where nothing would be added."""
        if noise is None or not self.noise_strength:
            return None
        return (noise * self.noise_strength).to(self.dtype)

    def forward(self, x: Tensor, code: Tensor, noise: Tensor | None) -> Tensor:
        """`x [1 or B, in, h, w]` in the dtype, w `[B, latent_dim]`, noise `[1 or B, 1, r, r]` -> `[B, out, r, r]`."""
        style = self.style(code)
        factor = self.demodulation(style).to(x.dtype)[:, :, None, None]
        x = self.convolve(x * style.to(x.dtype)[:, :, None, None])
        x = torch.addcmul(self.bias[:, None, None], x, factor)
        noise = self.scaled_noise(noise)
        if noise is not None:
            x = x.add_(noise)
        return F.leaky_relu_(x, 0.2)

    def convolve(self, x: Tensor) -> Tensor:
        """The bare convolution, with the filter if `up`."""
        if not self.up:
            return F.conv2d(x, self.weight, padding=1)
        x = F.conv_transpose2d(x, self.weight, stride=2)
        return F.conv2d(x, self.get_buffer("filter"), padding=1, groups=self.outputs)


class PackedConv(FrozenConv):
    """The same with oneDNN's own layout of the weight: several times faster where images are small."""

    def _keep_weight(self, weight: Tensor) -> None:
        side = self.noise.shape[-1]
        weight = weight.to(self.dtype, memory_format=torch.channels_last)
        if self.up:
            self.packed = onednn.pack_up(weight, [0, 0], [1, self.inputs, side // 2, side // 2])
        else:
            self.packed = onednn.pack(weight, [1, 1], [1, self.inputs, side, side])

    def convolve(self, x: Tensor) -> Tensor:
        if not self.up:
            return onednn.conv(x, self.packed, [1, 1])
        x = onednn.up(x, self.packed, [0, 0])
        return onednn.conv(x, onednn.packed_filter(self.outputs, self.dtype), [1, 1], self.outputs)


class FrozenRGB(_Modulated):
    """toRGB: a modulated 1x1 convolution to three colours."""

    weight: Tensor

    def __init__(self, weights: RGBWeights, dtype: torch.dtype) -> None:
        super().__init__(weights, dtype)
        self.register_buffer("weight", weights.weight)
        self.register_buffer("bias", weights.bias)

    def colours(self, code: Tensor) -> Tensor:
        """w `[B, latent_dim]` -> what each channel adds to each colour, `[B, 3, in]`, in the dtype."""
        return (self.weight * self.style(code)[:, None]).to(self.dtype)

    def forward(self, x: Tensor, code: Tensor, skip: Tensor | None) -> Tensor:
        """`x [B, in, r, r]`, the image so far at half the size -> the image `[B, 3, r, r]`, float32."""
        batch, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        colours = torch.bmm(self.colours(code), pixels.transpose(1, 2)).float().view(batch, 3, height, width)
        return colours + self.base(skip)

    def base(self, skip: Tensor | None) -> Tensor:
        """What the colours are added to: the bias, and the image so far, doubled in size."""
        bias = self.bias[:, None, None]
        return bias if skip is None else upsample(skip) + bias


class FrozenLevel(nn.Module):
    """The one or two convolutions and toRGB at one resolution, for a batch."""

    def __init__(self, convs: Sequence[FrozenConv], to_rgb: FrozenRGB) -> None:
        super().__init__()
        self.convs, self.to_rgb = nn.ModuleList(convs), to_rgb

    def forward(
        self,
        x: Tensor,
        image: Tensor | None,
        codes: Tensor,
        noises: Sequence[Tensor | None],
        begin: Callable[[int], None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Features and the image so far -> those of this resolution.

        `codes [B, layers, latent_dim]` and `noises` are those of the level's layers; `begin` is told each layer's
        place among them when it begins.
        """
        for place, conv in enumerate(self.convs):
            if begin is not None:
                begin(place)
            x = conv(x, codes[:, place], noises[place])
        if begin is not None:
            begin(len(self.convs))
        return x, self.to_rgb(x, codes[:, len(self.convs)], image)


def upsample(image: Tensor) -> Tensor:
    """Double the size of a planar image `[B, C, h, w]`: zero-insertion and [1, 3, 3, 1] / 4 along both axes.

    So every pixel is 3/4 of the nearest and 1/4 of the next one; beyond the border there is zero.
    """
    batch, channels, height, width = image.shape
    padded = F.pad(image, (1, 1, 1, 1))
    rows = _towards(padded[:, :, 1:-1], padded[:, :, :-2], padded[:, :, 2:], 3)
    rows = rows.view(batch, channels, 2 * height, width + 2)
    columns = _towards(rows[..., 1:-1], rows[..., :-2], rows[..., 2:], 4)
    return columns.view(batch, channels, 2 * height, 2 * width)


def _towards(middle: Tensor, before: Tensor, after: Tensor, axis: int) -> Tensor:
    """From `middle` a quarter of the way to `before`, and to `after`: the two along a new axis."""
    if torch.compiler.is_compiling():  # does not take such an `out`, and needs none
        return torch.stack([torch.lerp(middle, before, 0.25), torch.lerp(middle, after, 0.25)], axis)
    both = middle.new_empty(*middle.shape[:axis], 2, *middle.shape[axis:])
    torch.lerp(middle, before, 0.25, out=both.select(axis, 0))
    torch.lerp(middle, after, 0.25, out=both.select(axis, 1))
    return both
