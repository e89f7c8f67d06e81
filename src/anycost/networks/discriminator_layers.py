"""Layers of discriminators: equalised convolutions that may be told the architecture, blocks, minibatch deviation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anycost.errors import UserError
from anycost.networks.ops import SQRT2, EqualConv, fir, fir_kernel

Code = Tensor | None


class Condition(nn.Module):
    """The architecture's code -> per-channel factor and shift of one convolution's output.

    Plain linear layers with PyTorch's initialisation, so at the start conditioning is no identity; `make_identity`.
    """

    def __init__(self, code_length: int, channels: int) -> None:
        super().__init__()
        self.scale = nn.Linear(code_length, channels)
        self.shift = nn.Linear(code_length, channels)

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """`[B, code_length] -> ([B, C, 1, 1], [B, C, 1, 1])`: factor 1 + A g and shift B g."""
        return 1 + self.scale(code)[:, :, None, None], self.shift(code)[:, :, None, None]

    def make_identity(self) -> None:
        """Factor 1 and shift 0 for every code."""
        for layer in (self.scale, self.shift):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


class DConv(EqualConv):
    """Equalised convolution, optionally conditioned after the product and before bias and activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        code_length: int = 0,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, padding, bias)
        self.condition = Condition(code_length, out_channels) if code_length else None

    def forward(
        self,
        x: Tensor,
        gain: float = 1.0,
        with_bias: bool = True,
        out_channels: int | None = None,
        code: Code = None,
    ) -> Tensor:
        """`gain * (condition(conv(x)) + bias)`; `code [B, code_length]` where the layer is conditioned."""
        if self.condition is None:
            return super().forward(x, gain, with_bias, out_channels)
        if code is None:
            raise UserError("this discriminator is conditioned: it needs the code of the architecture")
        out = super().forward(x, gain, with_bias=False)
        factor, shift = self.condition(code.to(self.weight.dtype))
        if self.bias is not None:
            shift = shift + self.bias[:, None, None]
        return torch.addcmul((shift * gain).to(x.dtype), out, factor.to(x.dtype))


class ResBlock(nn.Module):
    """Two convolutions and a skip, halving the size; the gains of activation and sum are folded into weights."""

    kernel: Tensor

    def __init__(self, in_channels: int, out_channels: int, code_length: int = 0) -> None:
        super().__init__()
        self.conv1 = DConv(in_channels, in_channels, 3, padding=1, code_length=code_length)
        self.conv2 = DConv(in_channels, out_channels, 3, stride=2, code_length=code_length)
        self.skip = DConv(in_channels, out_channels, 1, bias=False, code_length=code_length)
        self.register_buffer("kernel", fir_kernel(), persistent=False)

    def forward(self, x: Tensor, out_channels: int, code: Code = None) -> Tensor:
        """`[B, in, r, r] -> [B, out, r/2, r/2]`: `(lrelu(conv2(lrelu(conv1(x)))) sqrt2 + skip(x)) / sqrt2`.

        Fewer channels than the block has mean the first ones; a conditioned block is never cut.
        """
        skip = self.skip(fir(x, self.kernel, padding=1, stride=2), 1 / SQRT2, out_channels=out_channels, code=code)
        x = F.leaky_relu(self.conv1(x, SQRT2, out_channels=x.shape[1], code=code), 0.2, inplace=True)
        x = self.conv2(fir(x, self.kernel, padding=2), 1.0, out_channels=out_channels, code=code)
        return F.leaky_relu(x, 0.2, inplace=True) + skip


def minibatch_std(x: Tensor) -> Tensor:
    """Append the mean standard deviation over groups of 4: `[B, C, h, w] -> [B, C + 1, h, w]`.

    Sample j belongs to group `j mod B/4`. B must be at most 4 or a multiple of 4.
    """
    batch, channels, height, width = x.shape
    group = min(batch, 4)
    if batch % group:
        raise UserError(f"a batch of {batch} does not split into groups of {group}; use a multiple of 4")
    grouped = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    grouped = grouped.reshape(group, batch // group, channels, height, width)
    # Not `var(0)`: a reduction over the outermost of five dimensions is ten times slower than this.
    variance = (grouped - grouped.mean(0)).square().mean(0)
    deviation = torch.sqrt(variance + 1e-8).mean((1, 2, 3))
    plane = deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x, plane.to(x.dtype)], dim=1)


class FinalConv(EqualConv):
    """The 3x3 convolution at 4 px: its last input is the minibatch deviation, which stays the last of fewer."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels + 1, channels, 3, padding=1)

    def part(self, out_channels: int, in_channels: int) -> Tensor:
        """The weight `[out_channels, in_channels, 3, 3]` of the first channels and the deviation."""
        if in_channels == self.weight.shape[1]:
            return super().part(out_channels, in_channels)
        weight = self.weight[:out_channels]
        return torch.cat([weight[:, : in_channels - 1], weight[:, -1:]], dim=1)
