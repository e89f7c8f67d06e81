"""Eyes and brows."""

import torch
from torch import Tensor

from anycost.data.faces.head import SIDES, shaded
from anycost.data.faces.person import Person, View, part_view
from anycost.data.faces.shapes import blob, coverage, disc, mix, ramp, strands, stroke, wave

DEPTH = 0.34


def eye_place(person: Person, sign: int) -> tuple[Tensor, Tensor, Tensor]:
    """Centre of an eye in the head's frame, and how much turning away narrows it."""
    u, v = person.project(sign * person.eye_distance, -0.03, DEPTH)
    return u, v, person.yaw_cosine * (1 - 0.38 * sign * person.yaw)


def paint_eyes(view: View) -> None:
    """Both eyes with lids, lashes and make-up."""
    for sign, side in SIDES:
        u, v, narrow = eye_place(view.person, sign)
        part = part_view(view, None, u, v, 0.225, 0.175)
        x = part.u * sign / narrow  # grows towards the temple
        y = part.v + part.person.eye_slant * x
        _paint_eye(part, x, y, sign, side)
        view.canvas.paste(part.canvas)


def _paint_eye(part: View, x: Tensor, y: Tensor, sign: int, side: int) -> None:
    canvas, person, pixel = part.canvas, part.person, part.pixel
    width = 0.112 * person.eye_size
    t = x / width
    arc = 1 - t * t * (0.8 + 0.2 * t * t)
    slope = (1 + (0.9 * t).square()).sqrt()
    opened = person.eye_open * person.eye_size
    upper = (-0.060 * opened * arc - y) / slope  # negative below the upper lid's border
    lower = (y - (0.036 * opened * (1 - 0.32 * person.smile.clamp(min=0))) * arc) / slope
    inside = torch.maximum(upper, lower)
    _paint_lids(part, x, y, t, upper, inside)
    shape = coverage(inside, pixel)
    white = person.skin.new_tensor([0.97, 0.96, 0.95])[:, None, None, None]
    canvas.paint(shape, white * (1 - 0.34 * ramp(upper, -0.035, 0.0) - 0.16 * ramp(t.abs(), 0.5, 1.0)), "eyes", side)
    canvas.paint(shape * blob(x + 0.93 * width, y, 0.022, 0.02), shaded(person.skin, torch.full_like(x, 0.1)) * 0.95)
    _paint_iris(part, x - sign * person.gaze_x, y - person.gaze_y + 0.010, upper, shape, sign)
    _paint_lashes(part, x, t, upper, lower, arc)


def _paint_lids(part: View, x: Tensor, y: Tensor, t: Tensor, upper: Tensor, inside: Tensor) -> None:
    """Eyeshadow, the crease above the eye, and the soft shadow around it."""
    canvas, person, pixel = part.canvas, part.person, part.pixel
    shadow = ramp(upper, 0.085, 0.005) * ramp(upper, -0.03, 0.0) * ramp(t, 1.45, 0.9) * ramp(t, -1.15, -0.6)
    canvas.paint(shadow * person.heavy_makeup * 0.62, mix(person.eyeshadow, person.skin, 0.2))
    canvas.paint(ramp(inside, 0.05, 0.0) * 0.16, shaded(person.skin, torch.full_like(x, 1.0)))
    crease = stroke(upper - 0.024 - 0.008 * t, 0.006, pixel) * ramp(t.abs(), 1.15, 0.75)
    canvas.paint(crease * 0.42, shaded(person.skin, torch.full_like(x, 1.1)))


def _paint_iris(part: View, x: Tensor, y: Tensor, upper: Tensor, shape: Tensor, sign: int) -> None:
    canvas, person, pixel = part.canvas, part.person, part.pixel
    radius = 0.056 * person.eye_size
    distance = disc(x, y, radius)
    reach = (distance + radius) / radius
    cover = coverage(distance, pixel) * shape
    angle = x / (y.abs() + x.abs() + 1e-4) * (2 - y.sign())
    fibres = strands(angle, person.texture_phase, canvas.pixel * 22, ((4.1, 0.14), (9.3, 0.14), (17.0, 0.12)))
    glow = blob(x, y - 0.6 * radius, 1.1 * radius, 0.9 * radius)
    colour = person.iris * (0.82 + 0.75 * glow + fibres * ramp(reach, 0.3, 0.6) - 0.62 * ramp(reach, 0.72, 1.0))
    colour = colour * (1 - 0.4 * ramp(upper, -0.04, 0.0))
    canvas.paint(cover, colour)
    canvas.paint(coverage(disc(x, y, 0.45 * radius), pixel) * cover, 0.05 * torch.ones_like(person.iris))
    at = 0.022 * (2 * (person.light > 0) - 1) * sign
    glint = coverage(disc(x - at, y + 0.022, 0.0155), pixel) + 0.45 * coverage(disc(x + at, y - 0.021, 0.008), pixel)
    canvas.paint(glint * cover, torch.ones_like(person.iris))


def _paint_lashes(part: View, x: Tensor, t: Tensor, upper: Tensor, lower: Tensor, arc: Tensor) -> None:
    """The dark border of the upper lid, thicker outwards, a fine lower one, and single lashes where they show."""
    canvas, person, pixel = part.canvas, part.person, part.pixel
    female = 0.6 * person.feminine + 0.5 * person.heavy_makeup
    ink = mix(person.hair * 0.25, 0.04, 0.6)
    ends = ramp(t, -1.10, -0.85) * ramp(t, 1.16 + 0.14 * person.heavy_makeup, 0.98)
    thick = (0.007 + 0.005 * female) * (0.75 + 0.35 * t.clamp(min=0))
    canvas.paint(stroke(upper - 0.25 * thick, thick, pixel) * ends, ink)
    canvas.paint(stroke(lower, 0.0035, pixel) * ends * ramp(t, -0.7, 0.5) * (0.35 + 0.3 * female), ink)
    length = (0.016 + 0.016 * female) * (0.45 + 0.55 * ramp(t, -0.6, 0.8))
    rise = upper / length
    lean = x - 0.55 * upper * t
    comb = wave(lean * 52 + person.texture_phase)
    single = ((comb - 0.25 - 0.75 * rise) * 3).clamp(0, 1) * ramp(rise, -0.1, 0.1) * ramp(rise, 1.0, 0.7)
    canvas.paint(single * ends * max(0.0, 1 - (90 * canvas.pixel) ** 2) * 0.9, ink)


def paint_brows(view: View) -> None:
    """Both brows: tapered arcs of hair."""
    for sign, side in SIDES:
        u, v, narrow = eye_place(view.person, sign)
        part = part_view(view, None, u, v - 0.15 - view.person.brow_raise, 0.23, 0.15)
        _paint_brow(part, part.u * sign / narrow, sign, side)
        view.canvas.paste(part.canvas)


def _paint_brow(part: View, x: Tensor, sign: int, side: int) -> None:
    person = part.person
    t = (x - 0.008) / 0.145
    rise = person.brow_arch * (0.8 - 0.75 * (t - 0.25).square()) + person.brow_tilt * t
    y = part.v + rise
    taper = (0.85 - 0.10 * t - 0.55 * ramp(t, 0.1, 1.0)) * (0.45 + 0.55 * ramp(t, -1.1, -0.5))
    thick = person.brow_thickness * taper
    rough = strands(x - 0.9 * y, person.strand_phase, part.canvas.pixel,
                    ((19, 0.05), (43, 0.12), (95, 0.25), (170, 0.2)))  # fmt: skip
    distance = torch.maximum(y.abs() - thick * (1 + rough), (t.abs() - 1) * 0.145)
    cover = coverage(distance, part.pixel + 0.012)
    colour = mix(person.hair * 0.72, person.skin * 0.4, 0.25) * (1 + rough)
    part.canvas.paint(cover * (0.80 + 0.1 * (1 - person.gray_hair)), colour, "brows", side)
