"""A sub-generator frozen for inference: one architecture, its weights sliced, scaled and laid out once."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from anycost.architecture import Architecture, num_points
from anycost.errors import UserError
from anycost.networks.generator import Generator, Noise
from anycost.networks.ops import SQRT2, StyledConv, ToRGB, fir_kernel, upsample_rgb
from anycost.runtime.dtypes import resolve_dtype

F = nn.functional


class Cancelled(Exception):
    """The caller no longer wants the image: its `cancelled` said so between two blocks."""


def freeze(
    generator: Generator,
    architecture: Architecture | None = None,
    dtype: torch.dtype | str = "auto",
    device: torch.device | str | None = None,
    compile: bool = False,
) -> "FrozenGenerator":
    """`architecture` of `generator` (default: full), made for inference, untouched by later changes.

    Args:
        dtype: of the convolutions: float32, bfloat16, float16 (GPU), or `"auto"`: `fastest_dtype(device)`.
        device: where it runs; default: where the generator lies.
        compile: use `torch.compile`: slow at first, needs a C++ compiler on the CPU.
    """
    return FrozenGenerator(generator, architecture, dtype, device)


class FrozenGenerator(nn.Module):
    """w in, image out. Use `freeze`; `PortableGenerator` is the form that exporters trace."""

    constant: Tensor

    def __init__(
        self,
        generator: Generator,
        architecture: Architecture | None = None,
        dtype: torch.dtype | str = "auto",
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture or generator.space.full()
        device = torch.device(device or generator.constant.device)
        self.dtype = resolve_dtype(dtype, device)
        self.latent_dim = generator.latent_dim
        self.num_styles = num_points(self.architecture.resolution)
        channels = self.architecture.channels
        layers = generator.styled_layers[: self.num_styles - 1]
        rgbs = generator.rgb_layers[: self.num_styles // 2]
        self.register_buffer("constant", generator.constant.detach()[:, : channels[0]].to(device, copy=True))
        self.layers = nn.ModuleList(
            FrozenConv(layer, channels[p], channels[p + 1], self.dtype) for p, layer in enumerate(layers)
        )
        self.to_rgb = nn.ModuleList(
            FrozenRGB(rgb, channels[2 * level + 1], self.dtype) for level, rgb in enumerate(rgbs)
        )
        self.to(device).eval()

    @torch.no_grad()
    def forward(self, w: Tensor, noise: Noise = "const", cancelled: Callable[[], bool] | None = None) -> Tensor:
        """The image `[B, 3, r, r]`, float32, nominal range [-1, 1], not clamped.

        Args:
            w: `[B, latent_dim]`, or W+ `[B, k, latent_dim]` with k >= `num_styles`; codes beyond are ignored.
            noise: `"const"` maps of the generator, `"random"` per sample, `"none"`, or one `[1 or B, 1, r, r]` per
                layer.
            cancelled: asked between blocks; `Cancelled` is raised where it says yes.
        """
        codes = self._codes(w)
        noises = self._noises(noise, len(codes))
        x = self.constant.to(self.dtype, memory_format=torch.channels_last).expand(len(codes), -1, -1, -1)
        rgb: Tensor | None = None
        for level, to_rgb in enumerate(self.to_rgb):
            if cancelled is not None and cancelled():
                raise Cancelled
            for point in range(max(2 * level - 1, 0), 2 * level + 1):
                x = self.layers[point](x, codes[:, point], noises[point])
            new = to_rgb(x, codes[:, 2 * level + 1])
            rgb = new if rgb is None else new + upsample_rgb(rgb, cast(FrozenConv, self.layers[0]).kernel)
        assert rgb is not None
        return rgb

    def _codes(self, w: Tensor) -> Tensor:
        if w.dim() not in (2, 3) or w.shape[-1] != self.latent_dim or (w.dim() == 3 and w.shape[1] < self.num_styles):
            raise UserError(
                f"w of shape {tuple(w.shape)} does not fit: [B, {self.latent_dim}] or [B, {self.num_styles} or more, "
                f"{self.latent_dim}] is needed at {self.architecture.resolution} px"
            )
        w = w.to(self.constant)
        return w[:, None].expand(-1, self.num_styles, -1) if w.dim() == 2 else w[:, : self.num_styles]

    def _noises(self, noise: Noise, batch: int) -> Sequence[Tensor | None]:
        layers = cast(list[FrozenConv], list(self.layers))
        if noise == "const":
            return [layer.noise for layer in layers]
        if noise == "none":
            return [None] * len(layers)
        if noise == "random":
            return [torch.randn(batch, *layer.noise.shape[1:], device=self.constant.device) for layer in layers]
        if isinstance(noise, str):
            raise UserError(f"noise={noise} is not one of const, random, none")
        if len(noise) < len(layers):
            raise UserError(f"{len(noise)} noise maps were given; {len(layers)} layers run")
        return [one.to(self.constant) for one in noise[: len(layers)]]


class FrozenConv(nn.Module):
    """One styled convolution."""

    weight: Tensor
    power: Tensor
    noise: Tensor
    strength: Tensor
    bias: Tensor
    kernel: Tensor

    def __init__(self, layer: StyledConv, inputs: int, outputs: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.up = layer.up
        weight = layer.weight.detach()[:outputs, :inputs] * layer.scale
        self.register_buffer("weight", weight.to(dtype=dtype, memory_format=torch.channels_last))
        self.register_buffer("power", weight.square().sum((2, 3)))
        self.register_buffer("modulation", layer.modulation.weight.detach()[:inputs] * layer.modulation.gain)
        self.register_buffer("modulation_bias", layer.modulation.bias.detach()[:inputs].clone())
        self.register_buffer("noise", layer.noise.detach().clone())
        self.register_buffer("strength", layer.noise_strength.detach() * SQRT2)
        self.register_buffer("bias", layer.bias.detach()[:outputs] * SQRT2)
        self.register_buffer("kernel", fir_kernel().to(weight))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        style = F.linear(w, self.modulation, self.modulation_bias)
        demodulation = torch.rsqrt(style.square() @ self.power.t() + 1e-8) * SQRT2
        x = x * style.to(x.dtype)[:, :, None, None]
        if self.up:
            x = F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)
            x = F.conv2d(x, (self.kernel * 4).to(x.dtype).expand(x.shape[1], 1, 4, 4), padding=1, groups=x.shape[1])
        else:
            x = F.conv2d(x, self.weight, padding=1)
        x = x * demodulation.to(x.dtype)[:, :, None, None]
        x = x.add_(self.bias.to(x.dtype)[:, None, None])
        if noise is not None:
            x = x.add_((noise * self.strength).to(x.dtype))
        return F.leaky_relu(x, 0.2, inplace=True)


class FrozenRGB(nn.Module):
    """toRGB: the modulated 1x1 convolution to three colours, float32."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: ToRGB, inputs: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach()[:, :inputs] * layer.scale)
        self.register_buffer("modulation", layer.modulation.weight.detach()[:inputs] * layer.modulation.gain)
        self.register_buffer("modulation_bias", layer.modulation.bias.detach()[:inputs].clone())
        self.register_buffer("bias", layer.bias.detach().clone())

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = F.linear(w, self.modulation, self.modulation_bias)
        out = F.conv2d(x * style.to(x.dtype)[:, :, None, None], self.weight.to(x.dtype))
        return out.to(w.dtype) + self.bias[:, None, None]
