"""The discriminator as its papers state it: StyleGAN2's, with an entry per resolution and with conditioning.

The slow, obvious definition: the reference of the tests, and what `anycost benchmark training` compares with.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anycost.benchmarks.plain_ops import Dense, activate, channels_at, fir


class Condition(nn.Module):
    """Affine map per channel; scale and shift are linear in the code of the generator's architecture."""

    def __init__(self, code_length: int, channels: int) -> None:
        super().__init__()
        self.scale = nn.Linear(code_length, channels)
        self.shift = nn.Linear(code_length, channels)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """x [B, C, H, W], code [code_length] or [B, code_length]."""
        code = code.reshape(-1, code.shape[-1])
        return x * (1 + self.scale(code)[:, :, None, None]) + self.shift(code)[:, :, None, None]


class Conv(nn.Module):
    """Equalised convolution -> conditioning, where there is one -> bias and activation, unless `linear`.

    With `down` the image is filtered (sum 1, as wide a pad as halves the side exactly) and the stride is 2.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, code_length: int = 0, down: bool = False,
                 linear: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = None if linear else nn.Parameter(torch.zeros(outputs))
        self.condition = Condition(code_length, outputs) if code_length else None
        self.down = down

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        kernel = self.weight.shape[-1]
        weight = self.weight / math.sqrt(self.weight[0].numel())
        if self.down:
            pad = (kernel + 1) // 2
            x = F.conv2d(fir(x, gain=1.0, pad=(pad, pad)), weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=kernel // 2)
        if self.condition is not None:
            x = self.condition(x, code)
        return x if self.bias is None else activate(x, self.bias)


class Block(nn.Module):
    """Residual block that halves the side: [B, inputs, r, r] -> [B, outputs, r/2, r/2]."""

    def __init__(self, inputs: int, outputs: int, code_length: int) -> None:
        super().__init__()
        self.conv1 = Conv(inputs, inputs, 3, code_length)
        self.conv2 = Conv(inputs, outputs, 3, code_length, down=True)
        self.skip = Conv(inputs, outputs, 1, code_length, down=True, linear=True)

    def forward(self, x: Tensor, code: Tensor | None) -> Tensor:
        return (self.conv2(self.conv1(x, code), code) + self.skip(x, code)) / math.sqrt(2)


def minibatch_deviation(x: Tensor) -> Tensor:
    """Append the mean deviation within groups {g, g + B/4, ...} of four: [B, C, H, W] -> [B, C + 1, H, W]."""
    batch, channels, height, width = x.shape
    members = min(batch, 4)
    groups = x.reshape(members, batch // members, channels, height, width)
    deviation = torch.sqrt(groups.var(dim=0, unbiased=False) + 1e-8).mean(dim=(1, 2, 3))
    plane = deviation.repeat(members)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x, plane], dim=1)


class PlainDiscriminator(nn.Module):
    """Image of one of the highest `num_resolutions` resolutions (and architecture code) -> logit.

    Parameters are named as those of `anycost.networks.Discriminator`.
    """

    def __init__(self, resolution: int, multiplier: float, channel_cap: int = 512, num_resolutions: int = 1,
                 conditioned: bool = False) -> None:
        super().__init__()
        entries = [resolution >> k for k in range(num_resolutions)]
        sides = [2**k for k in range(resolution.bit_length() - 1, 2, -1)]
        code_length = 4 * 2 * (len(sides) + 1)
        width = {r: channels_at(r, multiplier, channel_cap) for r in (*sides, 4)}
        self.from_rgb = nn.ModuleDict({str(r): Conv(3, width[r], 1) for r in entries})
        self.blocks = nn.ModuleDict({
            str(r): Block(width[r], width[r // 2], code_length if conditioned and r in (8, 16) else 0)
            for r in sides})
        self.final_conv = Conv(width[4] + 1, width[4], 3)
        self.final_dense = Dense(width[4] * 16, width[4])
        self.logit = Dense(width[4], 1)

    def load_from(self, discriminator: nn.Module) -> None:
        """Copy the weights of an `anycost.networks.Discriminator` of the same shape."""
        weights = discriminator.state_dict()
        self.load_state_dict({name: weights[name] for name in self.state_dict()})

    def forward(self, image: Tensor, code: Tensor | None = None) -> Tensor:
        """image [B, 3, r, r], code [4 * points] or [B, 4 * points] -> logits [B]."""
        side = image.shape[-1]
        x = self.from_rgb[str(side)](image)
        while side > 4:
            x = self.blocks[str(side)](x, code)
            side //= 2
        x = self.final_conv(minibatch_deviation(x))
        x = F.leaky_relu(self.final_dense(x.flatten(1)), 0.2) * math.sqrt(2)
        return self.logit(x).squeeze(1)
