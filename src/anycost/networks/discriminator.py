"""The discriminator: single, multi-resolution, or conditioned on the architecture [Anycost, Sec. 3.1-3.2].

All three share their state-dict names, so weights carry over by name (see `carry_over.py`). A stage puts pictures to
any discriminator in one way: `judge`.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.discriminator_layers import Code, FinalConv, ResBlock, minibatch_std
from anycost.networks.ops import SQRT2, EqualConv, EqualLinear, compute_dtype

CONDITIONED_RESOLUTIONS = (16, 8)
Pictures = Mapping[int, Tensor]
Widths = Mapping[int, int]


class Trunk(nn.Module):
    """What discriminators share: entries for RGB, blocks down to 4 px, minibatch deviation, logit.

    Args:
        space: gives the full channels and the length of the architecture code.
        entries: resolutions at which images enter by themselves.
        code_length: of the code that the blocks at 16 and 8 px are told, or 0.
        checkpointing: recompute blocks in the backward pass.

    Attributes:
        channels: {resolution: channels of a layer's input there}, ascending.
        resolutions: of the images that are judged, ascending.
    """

    resolutions: list[int]

    def __init__(
        self, space: ArchitectureSpace, entries: Sequence[int], code_length: int = 0, checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.space, self.checkpointing = space, checkpointing
        self.channels = level_channels(space.full_channels)
        channels = self.channels
        self.from_rgb = nn.ModuleDict({str(r): EqualConv(3, channels[r], 1) for r in entries})
        self.blocks = nn.ModuleDict(
            {
                str(r): ResBlock(channels[r], channels[r // 2], code_length if r in CONDITIONED_RESOLUTIONS else 0)
                for r in sorted(channels, reverse=True)
                if r > 4
            }
        )
        self.final_conv = FinalConv(channels[4])
        self.final_dense = EqualLinear(channels[4] * 16, channels[4], activation=True)
        self.logit = EqualLinear(channels[4], 1)
        self.to(memory_format=torch.channels_last)

    def judge(self, batches: Sequence[tuple[Pictures, Architecture]]) -> list[list[Tensor]]:
        """Logits of batches of pictures, each as if alone: a list per batch, of tensors `[B]`.

        Args:
            batches: `{resolution: [B, 3, r, r]}` of the same people, resolutions ascending, and the architecture that
                drew them, or that reals are compared with.
        """
        raise NotImplementedError

    def _enter(self, image: Tensor, resolution: int, dtype: torch.dtype, widths: Widths) -> Tensor:
        image = image.to(dtype=dtype, memory_format=torch.channels_last)
        entry = self.from_rgb[str(resolution)]
        return F.leaky_relu(entry(image, gain=SQRT2, out_channels=widths[resolution]), 0.2, inplace=True)

    def _run(self, resolution: int, x: Tensor, widths: Widths, code: Code = None) -> Tensor:
        block, out_channels = self.blocks[str(resolution)], widths[resolution // 2]
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, x, out_channels, code, use_reentrant=False)
        return block(x, out_channels, code)

    def _finish(self, x: Tensor, sizes: Sequence[int], widths: Widths) -> list[Tensor]:
        x = torch.cat([minibatch_std(part) for part in x.split(list(sizes))])
        x = F.leaky_relu(self.final_conv(x, gain=SQRT2, out_channels=widths[4]), 0.2, inplace=True)
        x = self.final_dense(x.to(self.logit.weight.dtype).flatten(1), widths[4])
        return list(self.logit(x, 1)[:, 0].split(list(sizes)))


class Discriminator(Trunk):
    """Logits of images at the highest `num_resolutions` resolutions of the space, each by itself.

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
        resolutions = highest_resolutions(space, num_resolutions)
        code_length = len(space.ratios) * space.num_points if conditioned else 0
        super().__init__(space, resolutions, code_length, checkpointing)
        self.resolutions, self.conditioned, self.code_length = resolutions, conditioned, code_length

    def forward(self, image: Tensor, code: Code = None) -> Tensor:
        """`image [B, 3, r, r]`, `code [code_length]` or `[B, code_length]` -> logits `[B]`."""
        return self.score([(image, code)])[0]

    def judge(self, batches: Sequence[tuple[Pictures, Architecture]]) -> list[list[Tensor]]:
        """As `Trunk.judge`: a tensor per resolution; all pictures share the blocks that they pass through."""
        return self._judge(batches, self.channels)

    def code(self, architecture: Architecture) -> Code:
        """`[code_length]` that tells the architecture, or None where the discriminator is not conditioned."""
        if not self.conditioned:
            return None
        return torch.tensor(self.space.one_hot(architecture)).to(self.logit.weight)

    def score(self, inputs: Sequence[tuple[Tensor, Code]], widths: Widths | None = None) -> list[Tensor]:
        """Logits of several batches at once, each as if alone: they share the blocks that all pass through.

        Batches may differ in resolution and code; minibatch statistics never mix them.
        """
        for image, _ in inputs:
            if image.shape[-1] not in self.resolutions or image.shape[1:3] != (3, image.shape[-1]):
                raise UserError(f"images of shape {tuple(image.shape)} are not among {self.resolutions} px RGB")
        dtype = compute_dtype(self.final_conv.weight)
        with torch.autocast(self.logit.weight.device.type, enabled=False):
            return self._score(inputs, dtype, widths or self.channels)

    def _judge(self, batches: Sequence[tuple[Pictures, Architecture]], widths: Widths) -> list[list[Tensor]]:
        inputs = [(image, self.code(architecture)) for images, architecture in batches for image in images.values()]
        logits = iter(self.score(inputs, widths))
        return [[next(logits) for _ in images] for images, _ in batches]

    def _score(self, inputs: Sequence[tuple[Tensor, Code]], dtype: torch.dtype, widths: Widths) -> list[Tensor]:
        # Batches enter from the highest resolution down; `order` remembers who is where in the joint batch.
        order: list[int] = []
        parts: list[Tensor] = []
        for resolution in map(int, self.blocks):
            for position, (image, _) in enumerate(inputs):
                if image.shape[-1] == resolution:
                    order.append(position)
                    parts.append(self._enter(image, resolution, dtype, widths))
            if parts:
                x = torch.cat(parts) if len(parts) > 1 else parts[0]
                parts = [self._run(resolution, x, widths, self._codes(inputs, order))]
        logits = self._finish(parts[0], [len(inputs[position][0]) for position in order], widths)
        return [logits[order.index(position)] for position in range(len(inputs))]

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


def level_channels(counts: Sequence[int]) -> dict[int, int]:
    """{resolution: channels} from counts per channel point: each level's second point."""
    return {4 << level: count for level, count in enumerate(counts[1::2])}


def highest_resolutions(space: ArchitectureSpace, number: int) -> list[int]:
    """The highest `number` resolutions of the space, ascending; `UserError` unless each has a block of its own."""
    resolutions = sorted(level_channels(space.full_channels))[-number:]
    if resolutions[0] < 8:
        raise UserError(f"num_resolutions={number} reaches below 8 px, where the discriminator has no block")
    return resolutions
