"""Nose and mouth."""

import torch
from torch import Tensor

from anycost.data.faces.head import shaded
from anycost.data.faces.person import View, part_view
from anycost.data.faces.shapes import blob, coverage, ellipse, mix, ramp, strands, stroke, wave


def paint_nose(view: View) -> None:
    """A bridge with one side in shadow, wings, nostrils, light on the tip, and the shadow below."""
    u, v = view.person.project(0.0, 0.13, 0.45)
    part = part_view(view, None, u, v, 0.24, 0.30)
    canvas, person, pixel = part.canvas, part.person, part.pixel
    width, tip = person.nose_width, person.nose_length - 0.13
    y = part.v - tip  # 0 at the tip
    root = 0.11 * person.yaw  # the bridge starts nearer to the head than the tip
    x = part.u - root * (y / (0.75 * person.nose_length)).clamp(-1, 0)
    along = ramp(y, -0.30, -0.02)
    half = 0.020 + 0.62 * width * along * along
    turned = 0.75 * person.light - 1.6 * person.yaw
    for sign in (-1, 1):
        edge = blob((x * sign - half) / (0.7 + along), y + 0.09, 0.035, 0.20)
        strength = (0.26 - 0.20 * sign * turned).clamp(0.04, 0.50)
        canvas.paint(edge * strength, shaded(person.skin, torch.full_like(x, 0.9)))
    cast = blob(x + 0.02 * person.light, y - 0.062, 1.15 * width, 0.055) * 0.34
    canvas.paint(cast, shaded(person.skin, torch.full_like(x, 1.0)))
    ball = ellipse(x, y + 0.012, width * 0.62, 0.052)
    wings = ellipse(x.abs() - 0.66 * width, y - 0.008, 0.40 * width, 0.036)
    shape = coverage(torch.minimum(torch.minimum(ball, wings), _bridge(x, y, half)), pixel)
    pale = shaded(person.skin, 0.05 + 0.20 * ramp(y, 0.0, 0.05) - 0.10 * x / width * person.light)
    canvas.mark(shape, "nose")
    canvas.paint(shape * ramp(y, -0.16, 0.01) * 0.75, pale)
    rim = stroke(wings, 0.005, pixel) * ramp(x.abs(), 0.7 * width, 1.0 * width) * ramp(y, -0.03, 0.005)
    canvas.paint(rim * 0.50, shaded(person.skin, torch.full_like(x, 1.2)))
    aside = x.abs() - 0.46 * width
    nostril = ellipse(aside, y - 0.028 + 0.12 * aside, 0.24 * width, 0.0125)
    depth = person.skin.new_tensor([0.36, 0.20, 0.18])[:, None, None, None]
    canvas.paint(coverage(nostril, pixel + 0.008) * 0.72, person.skin * depth)
    shine = blob(x - 0.018 * person.light, y + 0.022, 0.036, 0.026)
    shine = shine + 0.6 * blob(x - 0.012 * person.light, y + 0.15, 0.022, 0.13)
    canvas.paint(shine * 0.30, mix(person.skin, 1.0, 0.65))
    view.canvas.paste(canvas)


def _bridge(x: Tensor, y: Tensor, half: Tensor) -> Tensor:
    return torch.maximum(x.abs() - half, torch.maximum(y, -0.2 - y))


def paint_mouth(view: View) -> None:
    """Lips around a line, or around teeth and tongue; a smile lifts and widens."""
    u, v = view.person.project(0.0, 0.375, 0.36)
    part = part_view(view, None, u, v, 0.31, 0.24)
    canvas, person, pixel = part.canvas, part.person, part.pixel
    smile = person.smile
    width = person.mouth_width * (1 + 0.24 * smile)
    x = part.u / person.yaw_cosine
    t = x / width * (1 + 0.30 * person.yaw * (x / width).clamp(-1.3, 1.3))
    arc = (1 - t * t).clamp(min=-0.4)
    y = part.v + 0.052 * smile * (t * t - 0.45)
    gap = person.opening * arc * (1 - 0.1 * t * t)
    line = y - 0.006 * wave(t * 0.5 + 0.25) * 0.6
    size = person.lip_size * (1 - 0.18 * smile.clamp(min=0))
    bow = 1 + 0.16 * blob(t.abs() - 0.22, y * 0, 0.26, 1.0) - 0.17 * blob(t, y * 0, 0.20, 1.0)
    top = -0.040 * size * arc * bow - 0.35 * gap
    bottom = 0.056 * size * arc * (0.75 + 0.25 * arc) + 0.75 * gap
    slope = (1 + (0.55 * t).square()).sqrt()
    lips = torch.maximum(top - line, line - bottom) / slope
    inner = torch.maximum(-0.35 * gap - line, line - 0.75 * gap) / slope
    _paint_lips(part, x, line, t, lips, bottom, gap)
    _paint_inside(part, x, line, t, inner, gap)
    closed = stroke(line - 0.2 * gap, 0.0055, pixel) * ramp(t.abs(), 1.10, 0.92) * (1 - person.mouth_open)
    canvas.paint(closed * 0.85, person.lips * 0.38)
    corners = blob(t.abs() - 1.03, line, 0.14, 0.024)
    canvas.paint(corners * 0.55, shaded(person.skin, torch.full_like(x, 1.15)))
    view.canvas.paste(canvas)


def _paint_lips(part: View, x: Tensor, y: Tensor, t: Tensor, lips: Tensor, bottom: Tensor, gap: Tensor) -> None:
    canvas, person, pixel = part.canvas, part.person, part.pixel
    upper = ramp(y - 0.2 * gap, 0.008, -0.008)
    wrinkle = strands(x * (1 + 2 * y), person.texture_phase, canvas.pixel, ((31, 0.015), (71, 0.025), (150, 0.035)))
    colour = person.lips * (1 - 0.22 * upper - 0.22 * ramp(t.abs(), 0.6, 1.05) + wrinkle)
    cover = coverage(lips, pixel + 0.008 * (1 - person.lipstick))
    canvas.paint(cover * (0.78 + 0.22 * person.lipstick), colour, "lips")
    shine = blob(t - 0.12 * person.light, (y - 0.52 * bottom - 0.22 * gap), 0.55, 0.017)
    canvas.paint(shine * (0.20 + 0.26 * person.lipstick), mix(person.lips, 1.0, 0.75))


def _paint_inside(part: View, x: Tensor, y: Tensor, t: Tensor, inner: Tensor, gap: Tensor) -> None:
    canvas, person, pixel = part.canvas, part.person, part.pixel
    cover = coverage(inner, pixel) * person.mouth_open
    dark = person.skin.new_tensor([0.30, 0.07, 0.08])[:, None, None, None].expand(3, len(gap), 1, 1)
    canvas.paint(cover, dark, "mouth")
    tongue = ramp(y - 0.42 * person.opening - 0.02 * t * t, 0.0, 0.02)
    canvas.paint(cover * tongue * 0.8, dark * dark.new_tensor([2.5, 4.4, 4.2])[:, None, None, None])
    edge = 0.18 * person.opening + 0.16 * person.opening * person.smile.clamp(min=0)
    teeth = coverage(y - edge + 0.012 * t * t, pixel) * ramp(t.abs(), 0.95, 0.75)
    gaps = strands(x, 0 * person.smile, canvas.pixel, ((22.0, 0.05),))
    white = dark.new_tensor([0.97, 0.95, 0.92])[:, None, None, None]
    light = 1 - 0.30 * ramp(t.abs(), 0.2, 0.9) - 0.25 * ramp(y + 0.35 * gap, 0.02, 0.0) + gaps
    canvas.paint(cover * teeth, white * light)
