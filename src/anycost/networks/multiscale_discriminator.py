"""The discriminator of MSG-GAN: pictures of all resolutions of a person enter one pass [MSG-GAN, arXiv 1903.06048]."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.discriminator import Pictures, Trunk, highest_resolutions
from anycost.networks.ops import EqualConv, compute_dtype


class MultiscaleDiscriminator(Trunk):
    """One logit for the pictures of a person at the highest `num_resolutions` resolutions together.

    The highest picture enters as in StyleGAN2. Each lower one is concatenated to what the blocks above made, and a
    learned 1x1 convolution without bias or activation brings both back to the block's channels. Of the paper's three
    combine functions this is the "cat-lin" one, which its authors' StyleGAN uses. A sum with features of the picture is
    the same map; but here one fan-in sets the scale of both parts, so signals keep their size at the start.

    Args:
        space: gives the full channels.
        num_resolutions: pictures per person; 1 is the plain StyleGAN2 discriminator.
        checkpointing: recompute blocks in the backward pass.
    """

    def __init__(self, space: ArchitectureSpace, num_resolutions: int = 1, checkpointing: bool = False) -> None:
        resolutions = highest_resolutions(space, num_resolutions)
        super().__init__(space, resolutions[-1:], checkpointing=checkpointing)
        self.resolutions = resolutions
        self.combine = nn.ModuleDict(
            {
                str(r): EqualConv(self.channels[r] + 3, self.channels[r], 1, bias=False)
                for r in reversed(resolutions[:-1])
            }
        )
        self.to(memory_format=torch.channels_last)

    def judge(self, batches: Sequence[tuple[Pictures, Architecture]]) -> list[list[Tensor]]:
        """As `Trunk.judge`, but with one tensor `[B]` per batch, whose pictures must be of all `resolutions`.

        The architectures are not looked at.
        """
        for images, _ in batches:
            self._check(images)
        dtype, top = compute_dtype(self.final_conv.weight), self.resolutions[-1]
        sizes = [len(images[top]) for images, _ in batches]
        with torch.autocast(self.logit.weight.device.type, enabled=False):
            joint = {r: torch.cat([images[r] for images, _ in batches]) for r in self.resolutions}
            x = self._enter(joint[top], top, dtype, self.channels)
            for resolution in map(int, self.blocks):
                if str(resolution) in self.combine:
                    x = self.combine[str(resolution)](torch.cat([x, joint[resolution].to(x)], dim=1))
                x = self._run(resolution, x, self.channels)
            return [[logits] for logits in self._finish(x, sizes, self.channels)]

    def _check(self, images: Pictures) -> None:
        shapes = {r: tuple(image.shape) for r, image in images.items()}
        batch = next(iter(shapes.values()))[:1] if shapes else ()
        if shapes != {r: (*batch, 3, r, r) for r in self.resolutions}:
            raise UserError(
                f"pictures of shapes {list(shapes.values())} are not one RGB picture per person at each of "
                f"{self.resolutions} px"
            )
