"""State and arithmetic of path-length regularisation [StyleGAN2, Sec. 3.2]."""

import torch
from torch import Tensor, nn

from anycost.configuration.stage_schema import PathLengthConfig
from anycost.stages.gradients import average


class PathLength(nn.Module):
    """Running mean of path lengths; the mean over processes and micro-batches enters before the penalty."""

    mean: Tensor

    def __init__(self, config: PathLengthConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(()))

    @torch.no_grad()
    def update(self, mean_length: Tensor) -> None:
        """Move the running mean towards the mean length of the step's images (of this process)."""
        self.mean.lerp_(average(mean_length.detach().clone()).to(self.mean), self.config.decay)

    def penalty(self, lengths: Tensor) -> Tensor:
        """`weight * every * mean (length - running mean)^2`; `every` makes up for the lazy schedule."""
        return self.config.weight * self.config.every * (lengths - self.mean).square().mean()
