"""One picture at all training resolutions, and the same filters on tensors for the consistency target (Eq. 5)."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from anycost.data.geometry import check_large_enough, resize, square


def pyramid(image: Image.Image, resolutions: Sequence[int], filter: str, padding: str) -> dict[int, np.ndarray]:
    """`{resolution: uint8 [3, r, r]}`, each resized from the original pixels of `image` (RGB).

    Raises `UnusableImage` where the picture is smaller than the largest resolution, or not square while
    `padding` is `error`.
    """
    check_large_enough(image.size, max(resolutions), padding)
    picture = square(image, padding)
    return {r: np.asarray(resize(picture, (r, r), filter)).transpose(2, 0, 1) for r in resolutions}


def downsample(images: Tensor, resolution: int, filter: str) -> Tensor:
    """Float `[N, 3, R, R]` to `[N, 3, resolution, resolution]` by the filter that Pillow has under this name.

    Differentiable; agrees with `pyramid` to within the rounding of uint8. `resolution` must divide R. Lanczos
    overshoots at edges, and here nothing clips that to the nominal range.
    """
    side = images.shape[-1]
    if side % resolution:
        raise ValueError(f"cannot downsample {side} pixels to {resolution}")
    if side == resolution:
        return images
    if filter == "bilinear":
        return F.interpolate(images, size=(resolution, resolution), mode="bilinear", antialias=True)
    if filter == "box":
        return F.avg_pool2d(images, side // resolution)
    weights = _lanczos_weights(side, resolution).to(images)
    return weights @ images @ weights.T


def downsample_uint8(images: Tensor, resolution: int, filter: str) -> Tensor:
    """`downsample` for uint8 `[N, 3, R, R]`, rounded to the nearest level."""
    if images.shape[-1] == resolution:
        return images
    return downsample(images.float(), resolution, filter).round_().clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=32)
def _lanczos_weights(side: int, resolution: int) -> Tensor:
    """Pillow's antialiased Lanczos-3 as a matrix `[resolution, side]` whose rows sum to one."""
    scale = side / resolution
    reach = 3 * scale
    positions = torch.arange(side, dtype=torch.float64) + 0.5
    rows = []
    for target in range(resolution):
        centre = (target + 0.5) * scale
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), side)
        offset = (positions - centre) / scale
        row = torch.sinc(offset) * torch.sinc(offset / 3)
        row[:first] = 0
        row[last:] = 0
        rows.append(row / math.fsum(row.tolist()))
    return torch.stack(rows)
