"""Losses of StyleGAN2 and Anycost: pure functions of tensors."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss: `mean softplus(-D(real)) + mean softplus(D(fake))`; 2 ln 2 at zero logits."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """`mean softplus(-D(fake))`; ln 2 at zero logits."""
    return F.softplus(-fake_logits).mean()


def r1_penalty(images: Tensor | Sequence[Tensor], logits: Tensor) -> Tensor:
    """`mean_b |d logits / d images|^2` of `images [B, 3, r, r]` that require a gradient; itself differentiable.

    Several images of one person (a pyramid) are one input.
    """
    gradients = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return torch.stack([gradient.square().sum((1, 2, 3)).mean() for gradient in gradients]).sum()


def path_lengths(images: Tensor, w_plus: Tensor, direction: Tensor, create_graph: bool = True) -> Tensor:
    """Length of the pull-back of a random image direction [StyleGAN2, Eq. 4]: `[B]`.

    Args:
        images: `[B, 3, r, r]`, a function of `w_plus [B, layers, latent_dim]`.
        direction: standard normal of the images' shape; scaled by 1 / sqrt(h w) here.
    """
    scaled = (images * direction).sum() / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad(scaled, w_plus, create_graph=create_graph)
    return gradient.square().sum(2).mean(1).sqrt()

