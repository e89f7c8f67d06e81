"""The weights of a generator, laid out once, from which frozen sub-generators of any architecture are put together."""

import weakref
from collections.abc import Sequence

import torch
from torch import Tensor

from anycost.architecture import Architecture, num_points
from anycost.networks.generator import Generator
from anycost.runtime import onednn
from anycost.runtime.layers import FrozenConv, FrozenLevel, FrozenRGB, PackedConv
from anycost.runtime.streaming import StreamedLevel
from anycost.runtime.weights import RGBWeights, StyledWeights

STREAMED_FROM = 128
"""Side in pixels from which a level runs strip by strip on a CPU: features outgrow caches, and weights shrink."""


class SharedWeights:
    """A copy of `generator`'s weights: of all, or of the leading channels that `architecture` needs.

    Layers are shared by all architectures that have the same channels there, as long as one of them is alive.
    """

    def __init__(
        self,
        generator: Generator,
        dtype: torch.dtype,
        device: torch.device,
        architecture: Architecture | None = None,
        compile: bool = False,
    ) -> None:
        self.dtype, self.device, self.latent_dim = dtype, device, generator.latent_dim
        kept = architecture or generator.space.full()
        channels, count = kept.channels, num_points(kept.resolution)
        with torch.no_grad():
            constant = generator.constant.detach()[:, : channels[0]]
            self._constant = constant.to(device, dtype, copy=True, memory_format=torch.channels_last)
            self._styled = [
                StyledWeights.of(layer, channels[point], channels[point + 1], device)
                for point, layer in enumerate(generator.styled_layers[: count - 1])
            ]
            self._rgb = [
                RGBWeights.of(layer, channels[2 * level + 1], device)
                for level, layer in enumerate(generator.rgb_layers[: count // 2])
            ]
        # A compiler makes its own choices, from plain operators.
        self.compiled, self._packs = compile, onednn.available(dtype, device) and not compile
        self._convs: weakref.WeakValueDictionary[tuple[int, int, int], FrozenConv] = weakref.WeakValueDictionary()

    def constant(self, channels: int) -> Tensor:
        """`[1, channels, 4, 4]` in the dtype."""
        return self._constant[:, :channels]

    def noise(self, point: int) -> Tensor:
        """The constant noise map `[1, 1, r, r]`, float32, of layer `point`."""
        return self._styled[point].noise

    def is_streamed(self, level: int) -> bool:
        """Whether the level of resolution `4 << level` runs strip by strip."""
        return self._packs and 4 << level >= STREAMED_FROM

    def batched_level(self, level: int, channels: Sequence[int]) -> FrozenLevel:
        """A level that takes a batch."""
        points = range(max(2 * level - 1, 0), 2 * level + 1)
        convs = [self._conv(point, channels[point], channels[point + 1]) for point in points]
        return FrozenLevel(convs, self._to_rgb(level, channels))

    def streamed_level(self, level: int, channels: Sequence[int]) -> StreamedLevel:
        """A level that takes one picture, strip by strip."""
        up, conv = (
            self._styled[point].sliced(channels[point], channels[point + 1]) for point in (2 * level - 1, 2 * level)
        )
        return StreamedLevel(up, conv, self._to_rgb(level, channels), self.dtype)

    def _conv(self, point: int, inputs: int, outputs: int) -> FrozenConv:
        found = self._convs.get((point, inputs, outputs))
        if found is None:
            kind = PackedConv if self._packs else FrozenConv
            found = kind(self._styled[point].sliced(inputs, outputs), self.dtype)
            self._convs[point, inputs, outputs] = found
        return found

    def _to_rgb(self, level: int, channels: Sequence[int]) -> FrozenRGB:
        return FrozenRGB(self._rgb[level].sliced(channels[2 * level + 1]), self.dtype)
