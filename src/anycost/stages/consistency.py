"""Consistency of sub-generators with the full one [Anycost, Eq. 5]: MSE plus a perceptual distance."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anycost.configuration.stage_schema import ConsistencyConfig
from anycost.data.pyramid import downsample
from anycost.networks.perceptual import perceptual_distance


class Consistency:
    """Compares the pictures of a sub-generator with the full generator's at full resolution, made smaller.

    The target has the same latents and noises and no gradient. A picture that *is* the target (full architecture at
    full resolution, with the current generator as target) is left out. `filter` is the data pyramid's.
    """

    def __init__(self, config: ConsistencyConfig, filter: str) -> None:
        self.config, self.filter = config, filter
        self.perceptual: nn.Module | None = None
        if config.perceptual != "none":
            self.perceptual = perceptual_distance(config.perceptual, align_corners=config.resize == "align_corners")
            self.perceptual.requires_grad_(False).eval()

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move the perceptual network, which is no part of the stage's state."""
        if self.perceptual is not None:
            self.perceptual.to(device=device, dtype=dtype)

    def compared(self, resolutions: Sequence[int], sampled: Sequence[int], full: bool) -> tuple[int, ...]:
        """The resolutions that enter the loss for this draw; `full` says that all channels were drawn."""
        chosen = resolutions if self.config.resolutions == "all" else sampled
        same = max(resolutions) if full and self.config.target == "full" else None
        return tuple(resolution for resolution in chosen if resolution != same)

    def loss(self, images: Mapping[int, Tensor], compared: Sequence[int], target: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over `compared` of the pixel and of the perceptual distance, unweighted.

        Args:
            images: {resolution: `[B, 3, r, r]`} of the sub-generator, with gradient.
            target: `[B, 3, R, R]` of the full generator.
        """
        pixel = perceptual = target.new_zeros(())
        for resolution in compared:
            goal = self._resized(target, resolution)
            pixel = pixel + F.mse_loss(images[resolution], goal)
            if self.perceptual is not None:
                perceptual = perceptual + self.perceptual(images[resolution], goal).mean()
        return pixel, perceptual

    def _resized(self, target: Tensor, resolution: int) -> Tensor:
        if self.config.resize == "align_corners":
            return F.interpolate(target, (resolution, resolution), mode="bilinear", align_corners=True)
        return downsample(target, resolution, self.filter)
