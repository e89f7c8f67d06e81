"""The discriminator: single, multi-resolution, or conditioned on the architecture [Anycost, Sec. 3.1-3.2].

All three share their state-dict names, so weights carry over by name (see `carry_over.py`).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.ops import SQRT2, EqualConv, EqualLinear, compute_dtype, fir, fir_kernel

CONDITIONED_RESOLUTIONS = (16, 8)
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

    def forward(self, x: Tensor, gain: float = 1.0, with_bias: bool = True, code: Code = None) -> Tensor:
        """`gain * (condition(conv(x)) + bias)`; `code [B, code_length]` where the layer is conditioned."""
        if self.condition is None:
            return super().forward(x, gain, with_bias)
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

    def forward(self, x: Tensor, code: Code) -> Tensor:
        """`[B, in, r, r] -> [B, out, r/2, r/2]`: `(lrelu(conv2(lrelu(conv1(x)))) sqrt2 + skip(x)) / sqrt2`."""
        skip = self.skip(fir(x, self.kernel, padding=1, stride=2), gain=1 / SQRT2, code=code)
        x = F.leaky_relu(self.conv1(x, gain=SQRT2, code=code), 0.2, inplace=True)
        x = self.conv2(fir(x, self.kernel, padding=2), gain=1.0, code=code)
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


class Discriminator(nn.Module):
    """Logits of images at the highest `num_resolutions` resolutions of the space.

    Args:
        space: gives the full channels (never sliced) and the length of the architecture code.
        num_resolutions: 1 is the plain StyleGAN2 discriminator.
        conditioned: the blocks at 16 and 8 px are told the architecture.
        checkpointing: recompute blocks in the backward pass.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        num_resolutions: int = 1,
        conditioned: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.checkpointing, self.conditioned = checkpointing, conditioned
        self.code_length = len(space.ratios) * space.num_points if conditioned else 0
        channels = {4 << level: count for level, count in enumerate(space.full_channels[1::2])}
        self.resolutions = sorted(channels)[-num_resolutions:]
        if self.resolutions[0] < 8:
            raise UserError(
                f"num_resolutions={num_resolutions} reaches below 8 px, where the discriminator has no block"
            )
        self.from_rgb = nn.ModuleDict({str(r): EqualConv(3, channels[r], 1) for r in self.resolutions})
        self.blocks = nn.ModuleDict(
            {
                str(r): ResBlock(channels[r], channels[r // 2], self.code_length if r in CONDITIONED_RESOLUTIONS else 0)
                for r in sorted(channels, reverse=True)
                if r > 4
            }
        )
        self.final_conv = EqualConv(channels[4] + 1, channels[4], 3, padding=1)
        self.final_dense = EqualLinear(channels[4] * 16, channels[4], activation=True)
        self.logit = EqualLinear(channels[4], 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor, code: Code = None) -> Tensor:
        """`image [B, 3, r, r]`, `code [code_length]` or `[B, code_length]` -> logits `[B]`."""
        return self.score([(image, code)])[0]

    def score(self, inputs: Sequence[tuple[Tensor, Code]]) -> list[Tensor]:
        """Logits of several batches at once, each as if alone: they share the blocks that all pass through.

        Batches may differ in resolution and code; minibatch statistics never mix them.
        """
        for image, _ in inputs:
            if image.shape[-1] not in self.resolutions or image.shape[1:3] != (3, image.shape[-1]):
                raise UserError(f"images of shape {tuple(image.shape)} are not among {self.resolutions} px RGB")
        dtype = compute_dtype(self.final_conv.weight)
        with torch.autocast(self.logit.weight.device.type, enabled=False):
            return self._score(inputs, dtype)

    def _score(self, inputs: Sequence[tuple[Tensor, Code]], dtype: torch.dtype) -> list[Tensor]:
        # Batches enter from the highest resolution down; `order` remembers who is where in the joint batch.
        order: list[int] = []
        parts: list[Tensor] = []
        for resolution, block in self.blocks.items():
            for position, (image, _) in enumerate(inputs):
                if image.shape[-1] == int(resolution):
                    order.append(position)
                    parts.append(self._enter(image, resolution, dtype))
            if parts:
                parts = [self._run(block, torch.cat(parts) if len(parts) > 1 else parts[0], self._codes(inputs, order))]
        sizes = [len(inputs[position][0]) for position in order]
        logits = self._finish(parts[0], sizes).split(sizes)
        return [logits[order.index(position)] for position in range(len(inputs))]

    def _enter(self, image: Tensor, resolution: str, dtype: torch.dtype) -> Tensor:
        image = image.to(dtype=dtype, memory_format=torch.channels_last)
        return F.leaky_relu(self.from_rgb[resolution](image, gain=SQRT2), 0.2, inplace=True)

    def _run(self, block: nn.Module, x: Tensor, code: Code) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, x, code, use_reentrant=False)
        return block(x, code)

    def _codes(self, inputs: Sequence[tuple[Tensor, Code]], order: list[int]) -> Code:
        if not self.conditioned:
            return None
        rows = []
        for position in order:
            image, code = inputs[position]
            if code is None or code.shape[-1] != self.code_length:
                raise UserError(f"this discriminator needs an architecture code of length {self.code_length}")
            rows.append(code.expand(len(image), -1))
        return torch.cat(rows)

    def _finish(self, x: Tensor, sizes: Sequence[int]) -> Tensor:
        x = torch.cat([minibatch_std(part) for part in x.split(list(sizes))])
        x = F.leaky_relu(self.final_conv(x, gain=SQRT2), 0.2, inplace=True)
        return self.logit(self.final_dense(x.to(self.logit.weight.dtype).flatten(1)))[:, 0]
