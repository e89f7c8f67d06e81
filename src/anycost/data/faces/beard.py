"""Beards, moustaches and stubble."""

import torch
from torch import Tensor

from anycost.data.faces.head import head_shape
from anycost.data.faces.person import View, region_view
from anycost.data.faces.shapes import coverage, ellipse, grain, ramp, strands


def paint_facial_hair(view: View) -> None:
    """Stubble, beard and goatee below, moustache above the mouth."""
    rows = view.person.having("facial_hair")
    if not len(rows):
        return
    part = region_view(view, rows, 0.0, 0.42, 0.62, 0.60)
    canvas, person, pixel = part.canvas, part.person, part.pixel
    outline = head_shape(part).outline
    middle, base = person.project(0.0, 0.0, 0.33)
    x, y = part.u - middle, part.v - base
    soft = pixel + 0.018
    mouth = ellipse(x, y - 0.375, person.mouth_width * 0.92, 0.055 + 0.6 * person.opening)
    border = 0.30 - 2.3 * (x.abs() - 0.10).clamp(min=0).square() - y
    ragged = strands(x + 0.2 * y, person.strand_phase, canvas.pixel, ((13, 0.006), (37, 0.006), (90, 0.006)))
    shade = ramp(torch.maximum(border, -0.6 * mouth), 0.13, -0.05) * coverage(outline, pixel)
    dots = grain(x, y, person.texture_phase, canvas.pixel, ((60, 0.35), (110, 0.55)))
    canvas.paint(shade * (1 + dots) * 0.36 * person.stubble, person.hair * 0.42)
    colour = _beard_colour(part, x, y, outline)
    longer = person.beard_length * ramp(y, 0.25, 0.6) * (1 - 4 * x * x).clamp(min=0)
    beard = torch.maximum(torch.maximum(outline - longer, border), -mouth) + ragged
    canvas.paint(coverage(beard, soft) * 0.94 * person.beard, colour, "facial_hair")
    chin = ellipse(x, y - 0.52 - 0.5 * person.beard_length, 0.125, 0.125 + person.beard_length)
    goatee = torch.maximum(chin, 0.03 - mouth) + ragged
    canvas.paint(coverage(goatee, soft) * 0.94 * person.goatee, colour, "facial_hair")
    lip = y - 0.305 - 0.55 * x * x * (1 - 0.4 * person.smile) + 0.02 * ramp(x.abs(), 0.03, 0.0)
    thick = 0.036 * ramp(x.abs(), 0.18, 0.10)
    mustache = torch.maximum(lip.abs() - thick, x.abs() - 0.17) + ragged
    canvas.paint(coverage(mustache, pixel + 0.009) * 0.96 * person.mustache, colour * 0.93, "facial_hair")
    view.canvas.paste(canvas)


def _beard_colour(part: View, x: Tensor, y: Tensor, outline: Tensor) -> Tensor:
    person = part.person
    fine = strands(x + 0.15 * x * y, person.strand_phase, part.canvas.pixel,
                   ((17, 0.05), (39, 0.06), (83, 0.07), (190, 0.08)))  # fmt: skip
    return person.hair * (0.92 + 1.1 * fine - 0.25 * ramp(outline, -0.12, 0.02) + 0.1 * x * person.light)
