"""Colours of skin, hair, eyes, clothes and backgrounds: sRGB in [0, 1]."""

import torch
from torch import Tensor

Colour = tuple[float, float, float]

SKIN: tuple[Colour, ...] = (
    (1.00, 0.89, 0.81), (0.99, 0.83, 0.71), (0.94, 0.74, 0.59), (0.84, 0.62, 0.46), (0.68, 0.46, 0.32),
    (0.50, 0.32, 0.22), (0.36, 0.23, 0.17),
)  # fmt: skip
BLACK: tuple[Colour, ...] = ((0.07, 0.07, 0.09), (0.15, 0.12, 0.12))
BROWN: tuple[Colour, ...] = ((0.25, 0.15, 0.10), (0.36, 0.22, 0.14), (0.50, 0.32, 0.19))
BLOND: tuple[Colour, ...] = ((0.74, 0.56, 0.31), (0.88, 0.72, 0.43), (0.95, 0.85, 0.62))
RED: tuple[Colour, ...] = ((0.47, 0.17, 0.09), (0.68, 0.28, 0.12), (0.83, 0.43, 0.20))
GRAY: tuple[Colour, ...] = ((0.48, 0.47, 0.47), (0.68, 0.67, 0.66), (0.90, 0.89, 0.88))
DYED: tuple[Colour, ...] = ((0.86, 0.42, 0.60), (0.55, 0.38, 0.72), (0.24, 0.50, 0.72), (0.18, 0.62, 0.58))
IRIS: tuple[Colour, ...] = (
    (0.22, 0.12, 0.07), (0.36, 0.21, 0.10), (0.52, 0.34, 0.13), (0.42, 0.46, 0.20), (0.28, 0.50, 0.42),
    (0.26, 0.48, 0.68), (0.46, 0.58, 0.68),
)  # fmt: skip
LIPSTICK: tuple[Colour, ...] = ((0.78, 0.10, 0.18), (0.83, 0.27, 0.38), (0.62, 0.10, 0.25), (0.88, 0.38, 0.33))
SHADOW: tuple[Colour, ...] = ((0.45, 0.30, 0.48), (0.55, 0.33, 0.27), (0.24, 0.38, 0.52), (0.62, 0.36, 0.46))
CLOTHES: tuple[Colour, ...] = (
    (0.16, 0.22, 0.36), (0.91, 0.90, 0.87), (0.70, 0.20, 0.22), (0.20, 0.45, 0.44), (0.88, 0.66, 0.27),
    (0.22, 0.22, 0.25), (0.56, 0.66, 0.82), (0.47, 0.30, 0.48), (0.83, 0.50, 0.40), (0.41, 0.50, 0.30),
)  # fmt: skip
BACKGROUND: tuple[Colour, ...] = (
    (0.62, 0.76, 0.86), (0.90, 0.80, 0.68), (0.72, 0.82, 0.72), (0.91, 0.72, 0.68), (0.76, 0.72, 0.86),
    (0.36, 0.48, 0.58), (0.88, 0.86, 0.82), (0.50, 0.60, 0.52), (0.62, 0.45, 0.44), (0.30, 0.33, 0.42),
)  # fmt: skip
FRAMES: tuple[Colour, ...] = ((0.08, 0.08, 0.10), (0.36, 0.18, 0.10), (0.72, 0.56, 0.26), (0.52, 0.12, 0.16),
                              (0.18, 0.26, 0.44))  # fmt: skip


def blend(stops: tuple[Colour, ...], place: Tensor) -> Tensor:
    """Colours `[B, 3]` at `place` `[B]` in [0, 1) along the stops, interpolated linearly."""
    table = torch.tensor(stops)
    scaled = place * (len(stops) - 1)
    lower = scaled.long().clamp(0, len(stops) - 2)
    return table[lower] + (table[lower + 1] - table[lower]) * (scaled - lower)[:, None]


def pick(stops: tuple[Colour, ...], place: Tensor) -> Tensor:
    """One of the stops `[B, 3]`, chosen by `place` `[B]` in [0, 1)."""
    return torch.tensor(stops)[(place * len(stops)).long().clamp(max=len(stops) - 1)]
