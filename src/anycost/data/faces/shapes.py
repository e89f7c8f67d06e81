"""Signed distances, soft coverage and patterns, from operations that IEEE 754 rounds exactly.

Only + - * / sqrt, comparisons and floor are used here and in every file that draws: unlike exp or sin they give the
same bits in vectorised loops and in their scalar tails. So a picture depends neither on its batch nor on threads.

Distances are negative inside. Arguments broadcast: coordinates `[N, h, w]`, per-picture numbers `[N, 1, 1]`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Number = float | Tensor
TURNS = ((0.8, 0.6), (0.28, 0.96), (0.936, -0.352), (0.6, -0.8))  # cosine and sine, one for each octave of `grain`


def coverage(distance: Tensor, pixel: Number) -> Tensor:
    """Share of a pixel of width `pixel` that lies inside the shape, for an edge that is straight within the pixel."""
    return (0.5 - distance / pixel).clamp_(0, 1)


def stroke(distance: Tensor, half_width: Number, pixel: Number) -> Tensor:
    """Coverage of a line around the zero of `distance`; right for lines thinner than a pixel, too."""
    scaled, half = distance / pixel, half_width / pixel + 0.5
    return (half - scaled).clamp_(0, 1) + (half + scaled).clamp_(0, 1) - 1


def ellipse(x: Tensor, y: Tensor, rx: Number, ry: Number) -> Tensor:
    """First-order distance to an ellipse about the origin."""
    px, py = x / rx, y / ry
    level = (px * px + py * py).sqrt_()
    px, py = px / rx, py / ry
    return level * (level - 1) / (px * px + py * py).sqrt_().clamp_(min=1e-5)


def disc(x: Tensor, y: Tensor, radius: Number) -> Tensor:
    """Distance to a disc about the origin."""
    return (x * x + y * y).sqrt_() - radius


def rounded_box(x: Tensor, y: Tensor, rx: Number, ry: Number, rounding: Number) -> Tensor:
    """Distance to a rectangle of half sides rx, ry with corners of radius `rounding`."""
    qx, qy = x.abs() - rx + rounding, y.abs() - ry + rounding
    outside = (qx.clamp(min=0).square_() + qy.clamp(min=0).square_()).sqrt_()
    return outside + torch.maximum(qx, qy).clamp_(max=0) - rounding


def segment(x: Tensor, y: Tensor, start: tuple[Number, Number], end: tuple[Number, Number]) -> Tensor:
    """Distance to the line from `start` to `end`."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    px, py = x - start[0], y - start[1]
    along = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp_(0, 1)
    return ((px - along * dx).square_() + (py - along * dy).square_()).sqrt_()


def smooth_min(a: Tensor, b: Tensor, width: Number) -> Tensor:
    """Union of two shapes whose seam is rounded over `width`."""
    overlap = (width - (a - b).abs()).clamp_(min=0)
    return torch.minimum(a, b) - overlap * overlap / (4 * width)


def blob(x: Tensor, y: Tensor, rx: Number, ry: Number) -> Tensor:
    """A soft spot about the origin: 1 in the middle, 0 outside the ellipse."""
    return (1 - (x / rx).square_() - (y / ry).square_()).clamp_(min=0).square_()


def ramp(x: Tensor, start: Number, end: Number) -> Tensor:
    """Smooth step from 0 at `start` to 1 at `end` (either order)."""
    t = ((x - start) / (end - start)).clamp_(0, 1)
    return t * t * (3 - 2 * t)


def wave(phase: Tensor) -> Tensor:
    """A sine-like wave in [-1, 1] of period 1 in `phase`, from two parabolas."""
    f = phase - phase.floor() - 0.5
    return 8 * f * (2 * f.abs() - 1)


def visibility(frequency: float, pixel: float) -> float:
    """How much of a wave of `frequency` periods per unit survives pixels of width `pixel`; 0 above Nyquist."""
    return max(0.0, 1 - (2 * frequency * pixel) ** 2)


def strands(across: Tensor, phase: Tensor, pixel: float, octaves: Sequence[tuple[float, float]]) -> Tensor | float:
    """Sum of waves over the coordinate `across`; `octaves` lists (frequency, amplitude).

    Waves too fine for the pixels fade out, so that finer pictures show more strands and nothing aliases.
    """
    total: Tensor | float = 0.0
    for order, (frequency, amplitude) in enumerate(octaves):
        weight = amplitude * visibility(frequency, pixel)
        if weight > 0:
            total = total + wave(across * frequency + phase * (3.7 + order)) * weight
    return total


def grain(x: Tensor, y: Tensor, phase: Tensor, pixel: float, octaves: Sequence[tuple[float, float]]) -> Tensor | float:
    """Two-dimensional texture in about [-1, 1] times the amplitudes: crossed, mutually warped waves per octave."""
    total: Tensor | float = 0.0
    for order, (frequency, amplitude) in enumerate(octaves):
        weight = amplitude * visibility(1.4 * frequency, pixel)
        if weight > 0:
            cosine, sine = TURNS[order % len(TURNS)]
            along, across = (cosine * x + sine * y) * frequency, (cosine * y - sine * x) * frequency
            bend = 0.7 * wave(0.37 * along - 0.29 * across + phase * (5.3 + order))
            total = total + wave(along + bend + phase) * wave(across - bend + 2.3 * phase) * weight
    return total


def mix(a: Tensor, b: Tensor | float, amount: Number) -> Tensor:
    """a where `amount` is 0, b where it is 1."""
    return a + (b - a) * amount
