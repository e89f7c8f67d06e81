"""The generator as its papers state it: weights modulated per sample, one grouped convolution over the batch.

The slow, obvious definition (StyleGAN2 with skip outputs, sub-channels of Anycost GAN): the reference of the
tests, and what `anycost benchmark training` and `inference` compare with.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anycost.benchmarks.plain_ops import Dense, activate, channels_at, fir, upsample


class ModulatedConv(nn.Module):
    """Convolution whose kernel a style scales per sample and input channel (StyleGAN2, equations 1 and 3)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, latent_dim: int, demodulate: bool,
                 up: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.modulation = Dense(latent_dim, inputs, bias=1.0)
        self.demodulate, self.up = demodulate, up

    def kernels(self, w: Tensor, inputs: int, outputs: int) -> Tensor:
        """w [B, latent_dim] -> kernels of the first channels [B, outputs, inputs, k, k].

        The scale keeps the full fan-in, also for a prefix of the channels.
        """
        scale = 1 / math.sqrt(self.weight[0].numel())
        style = self.modulation(w)[:, None, :inputs, None, None]
        kernels = scale * self.weight[None, :outputs, :inputs] * style
        if self.demodulate:
            kernels = kernels * torch.rsqrt(kernels.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
        return kernels

    def convolve(self, x: Tensor, w: Tensor, outputs: int) -> Tensor:
        """x [B, in, H, W], w [B, latent_dim] -> [B, outputs, H, W], or twice the side."""
        batch, inputs, height, width = x.shape
        kernels = self.kernels(w, inputs, outputs)
        x = x.reshape(1, batch * inputs, height, width)
        if not self.up:
            out = F.conv2d(x, kernels.flatten(0, 1), padding=kernels.shape[-1] // 2, groups=batch)
            return out.reshape(batch, outputs, height, width)
        out = F.conv_transpose2d(x, kernels.transpose(1, 2).flatten(0, 1), stride=2, groups=batch)
        return fir(out.reshape(batch, outputs, 2 * height + 1, 2 * width + 1), gain=4.0, pad=(1, 1))


class StyledConv(ModulatedConv):
    """Modulated 3x3 convolution, noise, bias, activation; the result is `resolution` px wide."""

    def __init__(self, inputs: int, outputs: int, resolution: int, latent_dim: int, up: bool) -> None:
        super().__init__(inputs, outputs, 3, latent_dim, demodulate=True, up=up)
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.noise: Tensor
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, outputs: int, noise: Tensor) -> Tensor:
        x = self.convolve(x, w, outputs) + self.noise_strength * noise
        return activate(x, self.bias[:outputs])


class ToRGB(ModulatedConv):
    """Modulated 1x1 convolution to three colours without demodulation."""

    def __init__(self, inputs: int, latent_dim: int) -> None:
        super().__init__(inputs, 3, 1, latent_dim, demodulate=False, up=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.convolve(x, w, 3) + self.bias[:, None, None]


class Mapping(nn.Module):
    """z [..., latent_dim], normalised to unit mean square, through dense layers -> w of the same shape."""

    def __init__(self, latent_dim: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Dense(latent_dim, latent_dim, lr_mul=0.01) for _ in range(num_layers))

    def forward(self, z: Tensor) -> Tensor:
        x = z * torch.rsqrt(z.square().mean(dim=-1, keepdim=True) + 1e-8)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2) * math.sqrt(2)
        return x


class PlainGenerator(nn.Module):
    """z or w -> images of every resolution. Parameters are named as those of `anycost.networks.Generator`."""

    def __init__(self, resolution: int, multiplier: float, channel_cap: int = 512, latent_dim: int = 512,
                 mapping_layers: int = 8, channels: Sequence[int] | None = None) -> None:
        super().__init__()
        self.resolutions = tuple(2**k for k in range(2, resolution.bit_length()))
        ladder = [channels_at(r, multiplier, channel_cap) for r in self.resolutions for _ in range(2)]
        self.full_channels = tuple(channels or ladder)
        self.num_styles = len(self.full_channels)
        self.mapping = Mapping(latent_dim, mapping_layers)
        self.constant = nn.Parameter(torch.randn(1, self.full_channels[0], 4, 4))
        self.layers = nn.ModuleList(
            StyledConv(self.full_channels[p], self.full_channels[p + 1], self.resolutions[(p + 1) // 2],
                       latent_dim, up=p % 2 == 1)
            for p in range(self.num_styles - 1))
        self.to_rgb = nn.ModuleList(ToRGB(width, latent_dim) for width in self.full_channels[1::2])

    def load_from(self, generator: nn.Module) -> None:
        """Copy the weights and noise buffers of an `anycost.networks.Generator` of the same shape."""
        weights = generator.state_dict()
        self.load_state_dict({name: weights[name] for name in self.state_dict()})

    def styles(self, latents: Tensor, latents_in: str, mixing_cutoff: int | None) -> Tensor:
        """One w per layer, [B, num_styles, latent_dim], of latents [B, latent_dim] or [B, k, latent_dim].

        With k = 2, the first `mixing_cutoff` layers take the first code and the others the second.
        """
        codes = latents[:, None] if latents.dim() == 2 else latents
        codes = self.mapping(codes) if latents_in == "z" else codes
        if codes.shape[1] == 1:
            return codes.expand(-1, self.num_styles, -1)
        if mixing_cutoff is not None:
            return codes[:, [int(layer >= mixing_cutoff) for layer in range(self.num_styles)]]
        return codes

    def noises(self, batch: int, noise: str | Sequence[Tensor]) -> Sequence[Tensor]:
        """A map per styled convolution: its buffer ("const"), new ones per sample ("random"), or as given."""
        if not isinstance(noise, str):
            return noise
        buffers = [self.get_buffer(f"layers.{p}.noise") for p in range(len(self.layers))]
        if noise == "random":
            return [torch.randn_like(buffer.expand(batch, -1, -1, -1)) for buffer in buffers]
        return buffers

    def forward(self, latents: Tensor, channels: Sequence[int] | None = None, latents_in: str = "z",
                mixing_cutoff: int | None = None, truncation: float = 1.0,
                truncation_mean: Tensor | None = None,
                noise: str | Sequence[Tensor] = "const", resolution: int | None = None) -> dict[int, Tensor]:
        """Images {4: [B, 3, 4, 4], 8: ..., resolution: ...}, nominally in [-1, 1], up to `resolution` (default: all).

        `channels` keeps the first so many at each of the `num_styles` channel points; `truncation_mean` is
        [latent_dim].
        """
        kept = channels or self.full_channels
        styles = self.styles(latents, latents_in, mixing_cutoff)
        if truncation_mean is not None:
            styles = (1 - truncation) * truncation_mean + truncation * styles
        batch = styles.shape[0]
        noises = self.noises(batch, noise)
        x = self.constant[:, :kept[0]].expand(batch, -1, -1, -1)
        x = self.layers[0](x, styles[:, 0], kept[1], noises[0])
        image = self.to_rgb[0](x, styles[:, 1])
        images = {4: image}
        for j, side in enumerate(self.resolutions[1:], start=1):
            if resolution is not None and side > resolution:
                break
            up, plain = 2 * j - 1, 2 * j
            x = self.layers[up](x, styles[:, up], kept[up + 1], noises[up])
            x = self.layers[plain](x, styles[:, plain], kept[plain + 1], noises[plain])
            image = self.to_rgb[j](x, styles[:, 2 * j + 1]) + upsample(image)
            images[side] = image
        return images
