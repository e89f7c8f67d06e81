"""A sub-generator frozen for inference: one architecture, its weights sliced, scaled and laid out once."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from anycost.architecture import Architecture, num_points
from anycost.errors import UserError
from anycost.networks.generator import Generator, Noise
from anycost.runtime.compilation import compile_levels, one_step, require_compiler
from anycost.runtime.dtypes import resolve_dtype
from anycost.runtime.layers import FrozenConv, FrozenLevel, PackedConv
from anycost.runtime.scratch import ScratchPool
from anycost.runtime.shared import SharedWeights
from anycost.runtime.streaming import BORDER, StreamedLevel, bordered


class Cancelled(Exception):
    """The caller no longer wants the image: its `cancelled` said so between two parts of the work."""


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
        compile: use `torch.compile`: slow at the first call of every shape; needs a C++ compiler on the CPU.
    """
    device = torch.device(device or generator.constant.device)
    architecture = architecture or generator.space.full()
    generator.check(architecture)
    if compile:
        require_compiler(device)
    weights = SharedWeights(generator, resolve_dtype(dtype, device), device, architecture, compile)
    return FrozenGenerator(weights, architecture, ScratchPool())


class FrozenGenerator(nn.Module):
    """w in, image out, with its weights in buffers. `freeze` makes it; any number of threads may call it at once.

    It is for running in PyTorch; `PortableGenerator` is the form that exporters trace.
    """

    constant: Tensor

    def __init__(self, weights: SharedWeights, architecture: Architecture, pool: ScratchPool) -> None:
        super().__init__()
        self.architecture, self.dtype, self.latent_dim = architecture, weights.dtype, weights.latent_dim
        self.num_styles = num_points(architecture.resolution)
        self._pool = pool
        self.register_buffer("constant", weights.constant(architecture.channels[0]))
        # Level j, of resolution 4 << j, works on the whole batch; from some level on, on one picture at a time.
        levels = range(self.num_styles // 2)
        streamed = [level for level in levels if weights.is_streamed(level)]
        batched = levels[: len(levels) - len(streamed)]
        self.batched = nn.ModuleList(weights.batched_level(level, architecture.channels) for level in batched)
        self.streamed = nn.ModuleList(weights.streamed_level(level, architecture.channels) for level in streamed)
        self.noises = [weights.noise(point) for point in range(self.num_styles - 1)]
        self._compiled = weights.compiled
        if self._compiled:
            compile_levels(self.batched, self.constant.device)
        self.eval()

    def forward(self, w: Tensor, noise: Noise = "const", cancelled: Callable[[], bool] | None = None) -> Tensor:
        """The image `[B, 3, r, r]`, float32, nominal range [-1, 1], not clamped; no gradients.

        Args:
            w: `[B, latent_dim]`, or W+ `[B, k, latent_dim]` with k >= `num_styles`; codes beyond are ignored.
            noise: `"const"` maps of the generator, `"random"` per sample, `"none"`, or one `[1 or B, 1, r, r]` per
                layer.
            cancelled: asked before each resolution, and each strip of large ones; `Cancelled` where it says yes.
        """
        return self.run(w, noise, cancelled)

    @torch.no_grad()
    def run(
        self,
        w: Tensor,
        noise: Noise = "const",
        cancelled: Callable[[], bool] | None = None,
        begin: Callable[[int], None] = lambda place: None,
    ) -> Tensor:
        """As `forward`; `begin` is told the place in `pricing.macs.executed_layers` of the layer that runs from now on.

        A layer may begin several times: large levels run strip by strip.
        """
        codes = self._codes(w)
        noises = self._noises(noise, len(codes))

        def enter(level: int) -> Callable[[int], None]:
            def tell(layer: int) -> None:
                if layer == 0 and cancelled is not None and cancelled():
                    raise Cancelled
                begin(max(3 * level - 1, 0) + layer)

            return tell

        with torch.autocast(codes.device.type, enabled=False):
            if self._compiled:
                with one_step(codes.device):  # CUDA graphs use the memory of what they return again
                    return self._small_levels(codes, noises, enter)[1].clone()
            x, image = self._small_levels(codes, noises, enter)
            return self._large_levels(x, image, codes, noises, enter) if self.streamed else image

    def _small_levels(
        self, codes: Tensor, noises: Sequence[Tensor | None], enter: Callable[[int], Callable[[int], None]]
    ) -> tuple[Tensor, Tensor]:
        x, image = self.constant, None
        for level, layers in enumerate(self.batched):
            begin, first = enter(level), max(2 * level - 1, 0)
            here = slice(first, 2 * level + 1)
            if self._compiled:
                begin(0)
                x, image = layers(x, image, codes[:, first : 2 * level + 2], noises[here])
            else:
                x, image = layers(x, image, codes[:, first : 2 * level + 2], noises[here], begin)
        assert image is not None
        return x, image

    def _large_levels(
        self,
        x: Tensor,
        image: Tensor,
        codes: Tensor,
        noises: Sequence[Tensor | None],
        enter: Callable[[int], Callable[[int], None]],
    ) -> Tensor:
        """Sample by sample, so that no more than one picture's features are in memory."""
        first, last = len(self.batched), self.num_styles // 2 - 1
        finished = []
        with self._pool.borrow() as scratch:
            for sample in range(len(codes)):
                one = slice(sample, sample + 1)
                skip = image[one]
                features = bordered(scratch, "even", x.shape[1], x.shape[2], self.dtype)
                features[:, :, BORDER:-BORDER] = x[one]
                for level, run in enumerate(cast(list[StreamedLevel], list(self.streamed)), start=first):
                    maps = [None if one_map is None else one_map[one] if len(one_map) > 1 else one_map
                            for one_map in noises[2 * level - 1 : 2 * level + 1]]  # fmt: skip
                    out = None if level == last else ("even" if (level - first) % 2 else "odd")
                    codes_here = codes[one, 2 * level - 1 : 2 * level + 2]
                    features, skip = run(features, skip, codes_here, maps, scratch, out, enter(level))
                finished.append(skip)
        if len(finished) == 1:
            return finished[0]
        side = self.architecture.resolution
        return torch.cat([image.new_empty(0, 3, side, side), *finished])  # a batch may be empty

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FrozenGenerator":
        """Refuses what `to`, `double`, `cuda` and the like would do: layouts are made for one device and dtype."""
        raise UserError("a frozen generator cannot be moved or converted; freeze again with device= and dtype=")

    @property
    def weight_bytes(self) -> int:
        """What all weights take, those that are shared with other architectures too."""
        packed = sum(layer.own_bytes for layer in self.own_layers() if isinstance(layer, PackedConv))
        return packed + sum(buffer.numel() * buffer.itemsize for buffer in self.buffers())

    def own_layers(self) -> list[FrozenConv]:
        """The convolutions that hold weights of their own, which other architectures may share."""
        return [conv for level in self.batched for conv in cast(list[FrozenConv], list(cast(FrozenLevel, level).convs))]

    def _codes(self, w: Tensor) -> Tensor:
        if w.dim() not in (2, 3) or w.shape[-1] != self.latent_dim or (w.dim() == 3 and w.shape[1] < self.num_styles):
            raise UserError(
                f"w of shape {tuple(w.shape)} does not fit: [B, {self.latent_dim}] or [B, {self.num_styles} or more, "
                f"{self.latent_dim}] is needed at {self.architecture.resolution} px"
            )
        w = w.to(device=self.constant.device, dtype=torch.float32)
        return w[:, None].expand(-1, self.num_styles, -1) if w.dim() == 2 else w[:, : self.num_styles]

    def _noises(self, noise: Noise, batch: int) -> Sequence[Tensor | None]:
        """One map per convolution; None: nothing is added."""
        if isinstance(noise, str):
            if noise not in ("const", "random", "none"):
                raise UserError(f"noise={noise} is not one of const, random, none")
            if noise == "const":
                return self.noises
            if noise == "none":
                return [None] * len(self.noises)
            return [torch.randn(batch, *one.shape[1:], device=one.device) for one in self.noises]
        if len(noise) < len(self.noises):
            raise UserError(f"{len(noise)} noise maps were given; {len(self.noises)} layers run")
        for place, (given, own) in enumerate(zip(noise, self.noises, strict=False)):
            if given.dim() != 4 or len(given) not in (1, batch) or given.shape[1:] != own.shape[1:]:
                raise UserError(
                    f"noise map {place} has the shape {tuple(given.shape)}; [1 or {batch}, 1, {own.shape[-1]}, "
                    f"{own.shape[-1]}] is needed"
                )
        return [one.to(self.constant.device, torch.float32) for one in noise[: len(self.noises)]]
