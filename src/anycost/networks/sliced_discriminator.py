"""The discriminator that is cut to the ratio of the generator it judges: "reduced channels" [Anycost, Table 2]."""

from collections.abc import Sequence

from torch import Tensor

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.discriminator import Discriminator, Pictures, level_channels


class SlicedDiscriminator(Discriminator):
    """A discriminator whose first channels are discriminators of every uniform ratio.

    At ratio a each level keeps the channels that `space.uniform(a)` has there, and what it computes is what a
    discriminator of just these channels computes with the slices as its weights: every gain is that of the smaller
    fan-in. (The generator keeps the full one and demodulates; here nothing would bring the signal back to its size.)
    The minibatch deviation stays the last input of the final convolution. Parameters and their names are those of the
    unconditioned `Discriminator`, which it equals at ratio 1.
    """

    def __init__(self, space: ArchitectureSpace, num_resolutions: int = 1, checkpointing: bool = False) -> None:
        super().__init__(space, num_resolutions, checkpointing=checkpointing)

    def judge(self, batches: Sequence[tuple[Pictures, Architecture]]) -> list[list[Tensor]]:
        """As `Trunk.judge`; only batches of equal widths share blocks. `UserError` where ratios are not uniform."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for position, (_, architecture) in enumerate(batches):
            groups.setdefault(self.channels_at(architecture), []).append(position)
        judged: dict[int, list[Tensor]] = {}
        for channels, members in groups.items():
            logits = self._judge([batches[position] for position in members], level_channels(channels))
            judged |= dict(zip(members, logits, strict=True))
        return [judged[position] for position in range(len(batches))]

    def channels_at(self, architecture: Architecture) -> tuple[int, ...]:
        """Channels per point of this discriminator's space at the one ratio of `architecture`."""
        ratio = architecture.ratios[0]
        if set(architecture.ratios) != {ratio}:
            raise UserError(f"a reduced discriminator has one ratio for all layers, not {architecture.ratios}")
        return self.space.uniform(ratio).channels
