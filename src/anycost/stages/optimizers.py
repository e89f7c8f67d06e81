"""Adam with the correction for lazy regularisation [StyleGAN2, App. B]."""

from collections.abc import Sequence

import torch
from torch import nn

from anycost.configuration.stage_schema import OptimizerConfig


def build_adam(
    options: OptimizerConfig, parameters: Sequence[nn.Parameter], lazy_every: int | None
) -> torch.optim.Adam:
    """Adam over `parameters`.

    A regulariser that steps once every `lazy_every` steps adds an optimiser step there; the correction scales the
    learning rate by c = k/(k+1) and raises the betas to the power c, so that k+1 steps do what k did.
    """
    c = lazy_every / (lazy_every + 1) if lazy_every and options.lazy_correction else 1.0
    betas = (options.beta1**c, options.beta2**c)
    return torch.optim.Adam(parameters, lr=options.learning_rate * c, betas=betas, eps=1e-8, fused=True)
