"""Mild changes of float images, each drawn from (seed, image index): what the embedded network learns to ignore."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from anycost.data.faces.draws import Draws
from anycost.randomness import normal


def crop(images: Tensor, top: Tensor, left: Tensor, side: int) -> Tensor:
    """Squares of `[B, C, h, w]` or `[B, h, w]`, one per image; places outside repeat the nearest pixel.

    Args:
        top, left: int64 `[B]`, where each square begins; may be negative.
    """
    rows = (top[:, None] + torch.arange(side)).clamp(0, images.shape[-2] - 1)
    columns = (left[:, None] + torch.arange(side)).clamp(0, images.shape[-1] - 1)
    batch = torch.arange(len(images))[:, None, None]
    picked = images.movedim(0, -1)[..., rows[:, :, None], columns[:, None, :], batch]
    return picked.movedim(-3, 0)


def photometric(images: Tensor, seed: int, stream: str, indices: Sequence[int]) -> Tensor:
    """Brightness, contrast, tint, blur and noise of `[B, 3, r, r]` in [0, 1]; what comes out is clamped to [0, 1]."""
    draws = Draws(seed, torch.tensor(list(indices), dtype=torch.int64))

    def uniform(name: str, low: float, high: float) -> Tensor:
        return draws.uniform(f"{stream} {name}", low, high)[:, None, None, None]

    tint = torch.cat([uniform(f"tint {c}", 0.93, 1.07) for c in "rgb"], dim=1)
    images = (images - 0.5) * uniform("contrast", 0.8, 1.2) * tint + 0.5 + uniform("brightness", -0.1, 0.1)
    images = images.lerp(_blurred(images), uniform("blur", -2, 1).clamp_min(0))
    noise = normal(seed, f"{stream} noise", indices, images.shape[1:])
    return (images + noise * uniform("noise", -0.06, 0.06).clamp_min(0)).clamp(0, 1)


def _blurred(images: Tensor) -> Tensor:
    """The binomial filter 1 4 6 4 1 in both directions."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (row[:, None] * row).expand(images.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="replicate"), kernel, groups=images.shape[1])
