"""The large levels of one picture on a CPU, strip by strip: a strip of rows stays in the cache from layer to layer.

Styles and demodulation go into the weights, which are small there. Every layer adds into a buffer that already holds
its noise, so no layer needs memory of its own, and the last level's features are never stored at all.

Rows of a strip `[a, b)` of the output: the convolution needs rows a-1 .. b of the level's first layer, these need
rows a-2 .. b+2 of the transposed convolution, and these rows a/2-2 .. b/2+1 of the input. Inputs therefore have two
rows of zeros above and below.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from anycost.runtime import onednn
from anycost.runtime.layers import FrozenConv, FrozenRGB
from anycost.runtime.scratch import Scratch
from anycost.runtime.weights import StyledWeights

F = nn.functional
BORDER = 2
STRIP_BYTES = 16 << 20  # of one layer's rows: fewer overlap less, more do not stay in a cache of 32 MiB


class StreamedConv(FrozenConv):
    """A styled convolution whose weight is made anew for every code: styled, demodulated, packed."""

    def _keep_weight(self, weight: Tensor) -> None:
        self.register_buffer("weight", weight)

    def prepare(self, code: Tensor, rows: int) -> Tensor:
        """w `[1, latent_dim]` -> the packed weight for strips of `rows` rows of the output."""
        style = self.style(code)
        factors = self.demodulation(style).t() * style  # [out, in]
        side = self.noise.shape[-1]
        if self.up:
            weight = (self.weight * factors.t()[:, :, None, None]).to(self.dtype)
            return onednn.pack_up(weight, [2, 0], [1, self.inputs, rows // 2 + 4, side // 2])
        weight = (self.weight * factors[:, :, None, None]).to(self.dtype)
        return onednn.pack(weight, [0, 1], [1, self.inputs, rows + 2, side])


class StreamedLevel(nn.Module):
    """Up-convolution, convolution and toRGB at one resolution, for one picture."""

    def __init__(self, up: StyledWeights, conv: StyledWeights, rgb: FrozenRGB, dtype: torch.dtype) -> None:
        super().__init__()
        self.up, self.conv, self.rgb = StreamedConv(up, dtype), StreamedConv(conv, dtype), rgb
        self.dtype, self.side = dtype, conv.noise.shape[-1]

    @property
    def rows(self) -> int:
        """Rows of a strip: a power of two, from 8 up."""
        row_bytes, rows = self.side * self.up.outputs * self.dtype.itemsize, 8
        while rows < self.side and 2 * rows * row_bytes <= STRIP_BYTES:
            rows *= 2
        return rows

    def forward(
        self,
        x: Tensor,
        skip: Tensor,
        codes: Tensor,
        noises: list[Tensor | None],
        scratch: Scratch,
        out: str | None,
        begin: Callable[[int], None],
    ) -> tuple[Tensor, Tensor]:
        """One level of one picture.

        Args:
            x: `[1, in, h + 4, h]`, with a border of two rows of zeros above and below.
            skip: the image so far, `[1, 3, h, h]`.
            codes: `[1, 3, latent_dim]`, those of the three layers.
            noises: of the two convolutions, `[1, 1, r, r]`.
            out: name of the buffer that gets the features, with a border; None: they are not needed.
            begin: is told which of the three layers runs from now on.

        Returns the features (or an unset strip) and the image.
        """
        side, rows = self.side, self.rows
        begin(0)
        up_weight, up_noise = self.up.prepare(codes[:, 0], rows), self.up.scaled_noise(noises[0])
        begin(1)
        conv_weight, conv_noise = self.conv.prepare(codes[:, 1], rows), self.conv.scaled_noise(noises[1])
        begin(2)
        colours = self.rgb.colours(codes[:, 2])[0]
        image = self.rgb.base(skip)
        planes = image.view(3, side * side)
        channels = self.conv.outputs
        hidden = scratch.image("hidden", self.up.outputs, rows + 2, side, self.dtype)
        if out is None:
            features = scratch.image("strip", channels, rows, side, self.dtype)
        else:
            features = bordered(scratch, out, channels, side, self.dtype)
        for top in range(0, side, rows):
            begin(0)
            self._up(x, up_weight, up_noise, top, hidden)
            begin(1)
            strip = features if out is None else row_slice(features, BORDER + top, rows)
            _fill(strip, conv_noise, top)
            onednn.add_conv(strip, hidden, conv_weight, self.conv.bias, [0, 1])
            F.leaky_relu_(strip, 0.2)
            begin(2)
            pixels = strip.permute(0, 2, 3, 1).reshape(rows * side, channels)
            part = planes[:, top * side : (top + rows) * side]
            # In float32 the product is added as it is made; bfloat16 needs a result of its own dtype first.
            part.addmm_(colours, pixels.t()) if self.dtype == torch.float32 else part.add_(colours @ pixels.t())
        return features, image

    def _up(self, x: Tensor, weight: Tensor, noise: Tensor | None, top: int, hidden: Tensor) -> None:
        """Rows `top - 1` to `top + rows` of the up-convolution; those outside of the image become zeros."""
        rows, side = hidden.shape[2] - 2, self.side
        wide = onednn.up(row_slice(x, top // 2, rows // 2 + 2 * BORDER), weight, [2, 0])
        first, last = int(top == 0), rows + 2 - int(top + rows == side)
        hidden.zero_() if noise is None else _fill(row_slice(hidden, first, last - first), noise, top - 1 + first)
        filters = onednn.packed_filter(self.up.outputs, self.dtype)
        onednn.add_conv(hidden, wide, filters, self.up.bias, [0, 1], groups=self.up.outputs)
        F.leaky_relu_(hidden, 0.2)
        if first:
            hidden[:, :, 0].zero_()
        if last < rows + 2:
            hidden[:, :, -1].zero_()


def bordered(scratch: Scratch, name: str, channels: int, side: int, dtype: torch.dtype) -> Tensor:
    """An unset image `[1, channels, side + 4, side]` with two rows of zeros above and below."""
    image = scratch.image(name, channels, side + 2 * BORDER, side, dtype)
    image[:, :, :BORDER].zero_()
    image[:, :, -BORDER:].zero_()
    return image


def row_slice(x: Tensor, start: int, count: int) -> Tensor:
    """Rows of one channels-last image, as an image with strides of its own size."""
    return x.permute(0, 2, 3, 1)[0, start : start + count].unsqueeze(0).permute(0, 3, 1, 2)


def _fill(rows: Tensor, noise: Tensor | None, top: int) -> None:
    """Set all channels of `rows` to the noise from row `top` on."""
    if noise is None:
        rows.zero_()
    else:
        rows.copy_(noise[:, :, top : top + rows.shape[2]])
