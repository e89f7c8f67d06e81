"""The elastic StyleGAN2 generator: outputs at every resolution, prefix slices of shared weights [Anycost, Sec. 3].

Sub-networks are arguments: `generator(z, architecture)` slices, changes nothing, and two architectures can run in
two threads.
"""

import math
import operator
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.ops import EqualLinear, ModulatedConv, StyledConv, ToRGB, compute_dtype, fir_kernel, upsample_rgb

Noise = str | Sequence[Tensor]


class Mapping(nn.Module):
    """z -> w: pixel norm, then fully connected layers with learning-rate multiplier 0.01."""

    def __init__(self, latent_dim: int, num_layers: int) -> None:
        super().__init__()
        layers = [EqualLinear(latent_dim, latent_dim, lr_mul=0.01, activation=True) for _ in range(num_layers)]
        self.layers = nn.ModuleList(layers)

    def forward(self, z: Tensor) -> Tensor:
        """`[..., latent_dim] -> [..., latent_dim]`."""
        x = z * torch.rsqrt(z.square().mean(-1, keepdim=True) + 1e-8)
        for layer in self.layers:
            x = layer(x)
        return x


class Generator(nn.Module):
    """One generator that runs at any resolution and width of its `space`.

    Args:
        space: full channels per point and what may be sliced from them.
        latent_dim: length of z and w.
        mapping_layers: layers of the mapping network.
        checkpointing: recompute blocks in the backward pass.
    """

    kernel: Tensor
    truncation_mean: Tensor | None

    def __init__(
        self,
        space: ArchitectureSpace,
        latent_dim: int = 512,
        mapping_layers: int = 8,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.space, self.latent_dim, self.checkpointing = space, latent_dim, checkpointing
        channels = space.full_channels
        self.mapping = Mapping(latent_dim, mapping_layers)
        self.constant = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        # Layer `point` makes channel point `point + 1`; odd ones are up-convolutions.
        self.layers = nn.ModuleList(
            StyledConv(
                channels[point], channels[point + 1], space.point_resolution(point + 1), latent_dim, point % 2 == 1
            )
            for point in range(len(channels) - 1)
        )
        self.to_rgb = nn.ModuleList(ToRGB(count, latent_dim) for count in channels[1::2])
        self.register_buffer("kernel", fir_kernel(), persistent=False)
        # [latent_dim], set where the weights come with one; it is not trained and no checkpoint holds it.
        self.register_buffer("truncation_mean", None, persistent=False)
        self.to(memory_format=torch.channels_last)

    @property
    def num_styles(self) -> int:
        """Length of a W+ latent: `2 log2(resolution) - 2`."""
        return self.space.num_points

    @property
    def styled_layers(self) -> list[StyledConv]:
        """`layers` with their type: layer p makes channel point p + 1."""
        return cast(list[StyledConv], list(self.layers))

    @property
    def rgb_layers(self) -> list[ToRGB]:
        """`to_rgb` with their type, from 4 px up."""
        return cast(list[ToRGB], list(self.to_rgb))

    # ---- images

    def forward(
        self,
        latents: Tensor,
        architecture: Architecture | None = None,
        latents_in: str = "z",
        mixing_cutoff: int | None = None,
        truncation: float = 1.0,
        truncation_mean: Tensor | None = None,
        noise: Noise = "const",
    ) -> Tensor:
        """The picture `[B, 3, r, r]` at the architecture's resolution, nominal range [-1, 1], not clamped.

        Args:
            latents: `[B, latent_dim]`, or `[B, k, latent_dim]` with k = 1, 2 (mixing) or `num_styles`.
            architecture: what to run; None is the full generator.
            latents_in: `"z"` or `"w"`.
            mixing_cutoff: with two codes, layers before it use the first (1 .. num_styles - 1).
            truncation: psi; w becomes `mean + psi (w - mean)`.
            truncation_mean: `[latent_dim]`; default: the one that came with the weights, and an error without.
            noise: `"const"` buffers, `"random"` per sample, `"none"`, or one `[1 or B, 1, r, r]` per layer.
        """
        architecture = self.space.full() if architecture is None else architecture
        self.check(architecture)
        w_plus = self.styles(latents, latents_in, mixing_cutoff, truncation, truncation_mean)
        images = self.synthesize(w_plus, architecture, noise, (architecture.resolution,))
        return images[architecture.resolution]

    def pyramid(
        self,
        latents: Tensor,
        architecture: Architecture | None = None,
        latents_in: str = "z",
        mixing_cutoff: int | None = None,
        truncation: float = 1.0,
        truncation_mean: Tensor | None = None,
        noise: Noise = "const",
        resolutions: Sequence[int] | None = None,
    ) -> dict[int, Tensor]:
        """As `forward`, but the pictures of several resolutions: all from 4 px up, or the `resolutions` named."""
        architecture = self.space.full() if architecture is None else architecture
        self.check(architecture)
        w_plus = self.styles(latents, latents_in, mixing_cutoff, truncation, truncation_mean)
        return self.synthesize(w_plus, architecture, noise, resolutions)

    def styles(
        self,
        latents: Tensor,
        latents_in: str = "z",
        mixing_cutoff: int | None = None,
        truncation: float = 1.0,
        truncation_mean: Tensor | None = None,
    ) -> Tensor:
        """Latents of any accepted form -> W+ `[B, num_styles, latent_dim]`."""
        if latents_in not in ("z", "w"):
            raise UserError(f"latents_in={latents_in} is not one of z, w")
        if latents.dim() not in (2, 3) or latents.shape[-1] != self.latent_dim:
            raise UserError(
                f"latents of shape {tuple(latents.shape)} do not fit: [B, {self.latent_dim}] or "
                f"[B, 1, 2 or {self.num_styles}, {self.latent_dim}] is needed"
            )
        codes = latents[:, None] if latents.dim() == 2 else latents
        with torch.autocast(codes.device.type, enabled=False):
            w = self.mapping(codes.to(self.constant.dtype)) if latents_in == "z" else codes.to(self.constant.dtype)
        if truncation != 1.0:
            mean = self.truncation_mean if truncation_mean is None else truncation_mean
            if mean is None:
                raise UserError(
                    f"truncation={truncation:g}: no mean style came with these weights; pass "
                    "truncation_mean=generator.truncation_center(), which measures it"
                )
            w = torch.lerp(mean.to(w), w, truncation)
        return self._broadcast(w, mixing_cutoff)

    def _broadcast(self, w: Tensor, mixing_cutoff: int | None) -> Tensor:
        count = self.num_styles
        if w.shape[1] == count:
            return w
        if w.shape[1] == 1:
            return w.expand(-1, count, -1)
        if w.shape[1] == 2:
            cutoff = mixing_cutoff if mixing_cutoff is not None else int(torch.randint(1, count, ()))
            if not 1 <= cutoff < count:
                raise UserError(f"mixing_cutoff={cutoff} is not within 1 .. {count - 1}")
            return torch.cat([w[:, :1].expand(-1, cutoff, -1), w[:, 1:].expand(-1, count - cutoff, -1)], dim=1)
        raise UserError(f"{w.shape[1]} codes were given; 1, 2 or {count} are needed")

    @torch.no_grad()
    def mean_style(self, num: int = 10_000, seed: int = 0) -> Tensor:
        """Mean of the mapping of `num` normal z: `[latent_dim]`, for the truncation."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(num, self.latent_dim, generator=generator)
        return self.mapping(z.to(self.constant)).mean(0)

    def truncation_center(self) -> Tensor:
        """Where truncation pulls styles to: the `truncation_mean` of the weights where they have one, else measured."""
        return self.mean_style() if self.truncation_mean is None else self.truncation_mean

    # ---- synthesis

    def synthesize(
        self,
        w_plus: Tensor,
        architecture: Architecture,
        noise: Noise = "const",
        resolutions: Sequence[int] | None = None,
    ) -> dict[int, Tensor]:
        """W+ `[B, num_styles, latent_dim]` -> {resolution: `[B, 3, r, r]`}, up to the architecture's resolution.

        Stops after the highest resolution asked for; the early exit equals the prefix of a full run.
        """
        wanted = self._wanted(architecture, resolutions)
        dtype = compute_dtype(self.constant)
        with torch.autocast(w_plus.device.type, enabled=False):
            return self._synthesize(w_plus, architecture.channels, noise, wanted, dtype)

    def check(self, architecture: Architecture) -> None:
        """Raise `UserError` unless `architecture` fits this generator."""
        if not isinstance(architecture, Architecture):
            raise UserError(f"{architecture!r} is no Architecture; text becomes one by generator.space.parse(...)")
        full = self.space.full_channels
        fits = len(architecture.channels) == len(full) and all(map(operator.le, architecture.channels, full))
        if architecture.resolution not in self._resolutions or not fits:
            raise UserError(
                f"the architecture of {architecture.resolution} px with channels {architecture.channels} does not fit "
                f"a generator of {self.space.resolution} px with channels {full}"
            )

    @property
    def _resolutions(self) -> list[int]:
        return [4 << j for j in range(len(self.to_rgb))]

    def _wanted(self, architecture: Architecture, resolutions: Sequence[int] | None) -> list[int]:
        self.check(architecture)
        available = [r for r in self._resolutions if r <= architecture.resolution]
        unknown = set(resolutions or ()) - set(available)
        if unknown:
            raise UserError(f"resolutions {sorted(unknown)} are not among {available}")
        return available if resolutions is None else sorted(resolutions)

    def _synthesize(
        self, w_plus: Tensor, channels: Sequence[int], noise: Noise, wanted: list[int], dtype: torch.dtype
    ) -> dict[int, Tensor]:
        noises = self._noises(noise, w_plus, num_layers=2 * int(math.log2(max(wanted))) - 3)
        x = self.constant[:, : channels[0]].to(dtype=dtype, memory_format=torch.channels_last)
        x = x.expand(len(w_plus), -1, -1, -1)
        rgb: Tensor | None = None
        images = {}
        for level in range(len(self.to_rgb)):
            resolution = 4 << level
            x, rgb = self._run(level, x, rgb, w_plus, noises, channels)
            if resolution in wanted:
                images[resolution] = rgb
            if resolution == max(wanted):
                return images
        raise AssertionError("the highest wanted resolution is one of the levels")

    def _run(
        self,
        level: int,
        x: Tensor,
        rgb: Tensor | None,
        w_plus: Tensor,
        noises: Sequence[Tensor],
        channels: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        if self.checkpointing and torch.is_grad_enabled() and level:
            return checkpoint(self._block, level, x, rgb, w_plus, noises, channels, use_reentrant=False)
        return self._block(level, x, rgb, w_plus, noises, channels)

    def _block(
        self,
        level: int,
        x: Tensor,
        rgb: Tensor | None,
        w_plus: Tensor,
        noises: Sequence[Tensor],
        channels: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        # toRGB of a level and the up-convolution of the next share a style: W+ index 2 level + 1.
        for point in range(max(2 * level - 1, 0), 2 * level + 1):
            x = self.layers[point](x, w_plus[:, point], noises[point], channels[point + 1])
        new = self.to_rgb[level](x, w_plus[:, 2 * level + 1])
        return x, new if rgb is None else new + upsample_rgb(rgb, self.kernel)

    def noise_shapes(self, resolution: int | None = None) -> list[tuple[int, ...]]:
        """Shapes `(1, r, r)` of one sample's noise maps up to `resolution`."""
        top = resolution or self.space.resolution
        return [tuple(layer.noise.shape[1:]) for layer in self.styled_layers if layer.noise.shape[-1] <= top]

    def _noises(self, noise: Noise, w_plus: Tensor, num_layers: int) -> Sequence[Tensor]:
        if noise == "const":
            return [layer.noise for layer in self.styled_layers[:num_layers]]
        if noise == "random":
            shapes = self.noise_shapes()[:num_layers]
            return [torch.randn(len(w_plus), *shape, device=w_plus.device, dtype=w_plus.dtype) for shape in shapes]
        if noise == "none":
            shapes = self.noise_shapes()[:num_layers]
            return [torch.zeros(1, *shape, device=w_plus.device, dtype=w_plus.dtype) for shape in shapes]
        if isinstance(noise, str):
            raise UserError(f"noise={noise} is not one of const, random, none")
        if len(noise) < num_layers:
            raise UserError(f"{len(noise)} noise maps were given; {num_layers} layers run")
        return noise

    # ---- standalone sub-generators

    @torch.no_grad()
    def extract(self, architecture: Architecture) -> "Generator":
        """A standalone generator of just this architecture, with the fan-in gain folded into its weights.

        Its space holds the kept widths alone; it renders what the sliced one renders.
        """
        levels = int(math.log2(architecture.resolution)) - 1
        channels = architecture.channels[: 2 * levels]
        space = ArchitectureSpace(
            architecture.resolution, num_resolutions=min(self.space.num_resolutions, levels), channels=channels
        )
        small = Generator(space, self.latent_dim, len(self.mapping.layers)).to(self.constant)
        source = self.state_dict()
        for name, target in small.state_dict().items():
            target.copy_(source[name][tuple(slice(size) for size in target.shape)])
        for name, module in small.named_modules():
            if isinstance(module, StyledConv | ToRGB):
                module.weight.mul_(cast(ModulatedConv, self.get_submodule(name)).scale / module.scale)
        small.truncation_mean = self.truncation_mean
        return small
