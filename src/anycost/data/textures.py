"""Procedural textures and noise: what the embedded network sees besides faces, deterministic by index and seed.

Each texture is a scalar field of one of `FAMILIES`, drawn at a random scale, coloured with two random colours, and
shaded in relief with the light from above, which is what tells its rotation.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from anycost.data.faces.draws import Draws, mix
from anycost.randomness import normal


def draw_textures(seed: int, indices: Sequence[int], side: int) -> tuple[Tensor, Tensor]:
    """Textures float32 `[B, 3, side, side]` in [0, 1], and the place of each in `FAMILIES`, int64 `[B]`."""
    draws = Draws(seed, torch.tensor(list(indices), dtype=torch.int64))
    families = draws.choice("family", [1 / len(FAMILIES)] * len(FAMILIES))
    images = torch.empty(len(indices), 3, side, side)
    for number, field in enumerate(FAMILIES.values()):
        rows = (families == number).nonzero().flatten().tolist()
        if rows:
            sheet = Sheet(seed, [indices[row] for row in rows], side)
            images[rows] = _coloured(sheet, field(sheet))
    return images, families


class Sheet:
    """The random numbers, the noise and the coordinates of some textures, `b` of them, `s` pixels a side."""

    def __init__(self, seed: int, indices: Sequence[int], side: int) -> None:
        self.seed, self.indices, self.side = seed, list(indices), side
        self.draws = Draws(seed, torch.tensor(self.indices, dtype=torch.int64))

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        """`[b, 1, 1, 1]`"""
        return self.draws.uniform(name, low, high)[:, None, None, None]

    def scale(self) -> Tensor:
        """Size of the texture's parts in pixels, from fine to a third of the picture, `[b, 1, 1, 1]`."""
        return 2.5 * (self.side / 7.5) ** self.uniform("scale")

    def turned(self, spread: float = math.pi) -> tuple[Tensor, Tensor]:
        """Coordinates in pixels along and across a random direction up to `spread` from the vertical."""
        angle = self.uniform("angle", -spread, spread)
        y, x = torch.meshgrid(*[torch.arange(self.side) - self.side / 2] * 2, indexing="ij")
        return y * angle.cos() + x * angle.sin(), x * angle.cos() - y * angle.sin()

    def noise(self, name: str, channels: int, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """Gaussian noise `[b, channels, s, s]` of zero mean and unit variance.

        `gain` is the amplitude at frequencies `[b, 1, s, s/2+1]` in cycles per pixel; a random stretch makes some
        textures grained.
        """
        white = normal(self.seed, f"texture {name}", self.indices, (channels, self.side, self.side))
        fy, fx = torch.fft.fftfreq(self.side)[:, None], torch.fft.rfftfreq(self.side)[None, :]
        stretch = 1 + 3 * self.uniform(f"{name} stretch") ** 4
        angle = self.uniform(f"{name} grain", 0, math.pi)
        along, across = fy * angle.cos() + fx * angle.sin(), fx * angle.cos() - fy * angle.sin()
        frequency = ((along * stretch).square() + across.square()).sqrt().clamp_min(0.5 / self.side)
        field = torch.fft.irfft2(torch.fft.rfft2(white) * gain(frequency), s=(self.side, self.side))
        field = field - field.mean((2, 3), keepdim=True)
        return field / field.std((2, 3), keepdim=True).clamp_min(1e-6)


# ---- families: each gives a field [b, 1 or 3, s, s], nominal range [0, 1]


def _level(noise: Tensor) -> Tensor:
    return (0.5 + 0.22 * noise).clamp(0, 1)


def _smooth(sheet: Sheet) -> Tensor:
    scale = sheet.scale()
    return _level(sheet.noise("smooth", 1, lambda f: torch.exp(-((f * scale) ** 2) * 3)))


def _fractal(sheet: Sheet) -> Tensor:
    slope = sheet.uniform("slope", 1.0, 2.0)
    return _level(sheet.noise("fractal", 1, lambda f: f**-slope))


def _white(sheet: Sheet) -> Tensor:
    return _level(sheet.noise("white", 3, torch.ones_like) * sheet.uniform("strength", 0.2, 1.2))


def _pink(sheet: Sheet) -> Tensor:
    slope = sheet.uniform("slope", 0.4, 1.0)
    return _level(sheet.noise("pink", 3, lambda f: f**-slope) * sheet.uniform("strength", 0.3, 1.2))


def _blue(sheet: Sheet) -> Tensor:
    slope = sheet.uniform("slope", 0.7, 1.5)
    return _level(sheet.noise("blue", 3, lambda f: f**slope) * sheet.uniform("strength", 0.2, 1.2))


def _band(sheet: Sheet) -> Tensor:
    centre = 1 / sheet.scale()
    return _level(sheet.noise("band", 1, lambda f: torch.exp(-((f / centre).log() / 0.25) ** 2)))


def _waves(sheet: Sheet) -> tuple[Tensor, Tensor]:
    """Phases along and across, bent by smooth noise in some."""
    scale = sheet.scale()
    bend = sheet.noise("bend", 2, lambda f: torch.exp(-((f * sheet.side / 3) ** 2) * 3))
    bend = bend * sheet.uniform("bend amount", -1, 1).relu() * 2
    along, across = sheet.turned()
    turn = 2 * math.pi / scale
    return along * turn + bend[:, :1] + sheet.uniform("phase", 0, 6.3), across * turn + bend[:, 1:]


def _edge(sheet: Sheet, height: Tensor) -> Tensor:
    """`height` crosses 0 at an edge that is soft or hard, never harder than about a pixel."""
    return torch.sigmoid(height * (1.5 + sheet.uniform("hardness") * sheet.scale()))


def _stripes(sheet: Sheet) -> Tensor:
    return _edge(sheet, _waves(sheet)[0].sin() + sheet.uniform("balance", -0.6, 0.6))


def _checks(sheet: Sheet) -> Tensor:
    along, across = _waves(sheet)
    return _edge(sheet, along.sin() * across.sin())


def _dots(sheet: Sheet) -> Tensor:
    along, across = _waves(sheet)
    return _edge(sheet, along.cos() + across.cos() - sheet.uniform("balance", 0.3, 1.2))


def _blobs(sheet: Sheet) -> Tensor:
    scale = sheet.scale()
    noise = sheet.noise("blobs", 1, lambda f: torch.exp(-((f * scale) ** 2) * 2))
    return _edge(sheet, noise + sheet.uniform("balance", -0.7, 0.7))


def _cells(sheet: Sheet) -> Tensor:
    """The distance to the nearest of 30 random points."""
    bits = mix(sheet.draws.bits("points")[:, None] ^ torch.arange(60))
    places = (bits >> 8).float() / 2**24 * sheet.side
    y, x = places.view(-1, 2, 30, 1, 1).unbind(1)
    grid = torch.arange(sheet.side) + 0.5
    distance = ((x - grid) ** 2 + (y - grid[:, None]) ** 2).min(1).values.sqrt()
    return (distance[:, None] / (sheet.side / 6)).clamp(0, 1)


def _gradient(sheet: Sheet) -> Tensor:
    """A ramp, brighter towards one side, or a round glow."""
    along, across = sheet.turned(0.9)
    ramp = 0.5 - along / sheet.side
    glow = 1 - (along.square() + across.square()).sqrt() / (0.7 * sheet.side)
    return torch.where(sheet.uniform("round") < 0.3, glow, ramp).clamp(0, 1)


FAMILIES: dict[str, Callable[[Sheet], Tensor]] = {
    "smooth": _smooth, "fractal": _fractal, "white": _white, "pink": _pink, "blue": _blue, "band": _band,
    "stripes": _stripes, "checks": _checks, "dots": _dots, "blobs": _blobs, "cells": _cells, "gradient": _gradient,
}  # fmt: skip


def _coloured(sheet: Sheet, field: Tensor) -> Tensor:
    """`[b, 3, s, s]`: two colours that differ in every channel, and light from above on the field as a relief."""
    low = torch.stack([sheet.draws.uniform(f"low {c}") for c in "rgb"], 1)
    gap = torch.stack([sheet.draws.uniform(f"gap {c}", 0.15, 0.85) for c in "rgb"], 1)
    high = torch.frac(low + gap)
    image = low[..., None, None].lerp(high[..., None, None], field)
    height = field.mean(1, keepdim=True)
    (slope,) = torch.gradient(height, dim=2)
    slope = slope / slope.std((2, 3), keepdim=True).clamp_min(0.005)
    return (image * (1 + sheet.uniform("relief", 0.05, 0.3) * slope)).clamp(0, 1)
