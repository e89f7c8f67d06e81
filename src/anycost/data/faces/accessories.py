"""What people wear: glasses, earrings, a necklace, a hat."""

import torch
from torch import Tensor

from anycost.data.faces.eyes import eye_place
from anycost.data.faces.head import SIDES
from anycost.data.faces.person import View, part_view, region_view
from anycost.data.faces.scenery import torso_frame
from anycost.data.faces.shapes import (
    blob,
    coverage,
    disc,
    ellipse,
    mix,
    ramp,
    rounded_box,
    segment,
    strands,
    stroke,
    wave,
)


def paint_glasses(view: View) -> None:
    """Two lenses in frames, a bridge, and the temples towards the ears; some are sunglasses."""
    rows = view.person.having("glasses")
    if not len(rows):
        return
    person = view.person.select(rows)
    u, v = person.project(0.0, -0.02, 0.42)
    part = part_view(view, rows, u, v, 0.62, 0.34)
    for sign, side in SIDES:
        _paint_lens(part, u, v, sign, side)
    bridge = part.v + 0.030 - 0.9 * part.u.square()
    inner = (person.eye_distance - person.lens_width * 0.93).clamp(min=0.02)
    arch = stroke(bridge, 0.85 * person.frame_thickness, part.pixel) * ramp(part.u.abs(), inner + 0.03, inner - 0.01)
    part.canvas.paint(arch, person.frame, "glasses")
    view.canvas.paste(part.canvas)


def _paint_lens(part: View, u: Tensor, v: Tensor, sign: int, side: int) -> None:
    canvas, person, pixel = part.canvas, part.person, part.pixel
    eye_u, eye_v, narrow = eye_place(person, sign)
    x, y = (part.u + u - eye_u * 1.0 - 0.03 * person.yaw) * sign / narrow, part.v + v - eye_v - 0.012
    rounding = person.lens_rounding * torch.minimum(person.lens_width, person.lens_height)
    lens = rounded_box(x + 0.12 * y * (1 - person.lens_rounding), y, person.lens_width, person.lens_height, rounding)
    ear_u, ear_v = person.project(sign * (person.head_width + 0.01), 0.0, -0.09)
    start = (sign * person.lens_width * narrow + eye_u - u, eye_v - v - 0.02)
    temple = segment(part.u, part.v, start, (ear_u - u, ear_v - v - 0.03))
    canvas.paint(stroke(temple, 0.8 * person.frame_thickness, pixel), person.frame * 0.85, "glasses", side)
    inside = coverage(lens, pixel)
    canvas.mark(inside, "glasses", side)
    tint = mix(person.frame, 0.05, 0.75) * (0.8 + 0.9 * ramp(y, -0.05, 0.2))
    canvas.paint(inside * (0.05 + 0.85 * person.sunglasses), tint)
    slant = x * sign + 0.7 * y
    glare = ramp((slant - 0.01).abs(), 0.030, 0.022) + 0.7 * ramp((slant - 0.065).abs(), 0.014, 0.008)
    glare = glare * inside * ramp(lens, 0.0, -0.03)
    canvas.paint(glare * (0.16 + 0.10 * person.sunglasses), torch.ones_like(person.frame))
    shine = 1 + 0.25 * ramp(y, 0.05, -0.12)
    canvas.paint(stroke(lens, person.frame_thickness, pixel), person.frame * shine, "glasses", side)


def paint_earrings(view: View) -> None:
    """Hoops or pearls under the ears that are in sight."""
    rows = view.person.having("earrings")
    for sign, side in SIDES if len(rows) else ():
        person = view.person.select(rows)
        u, v = person.project(sign * (person.head_width + 0.012), 0.03 + 0.15 * person.ear_size, -0.10)
        part = part_view(view, rows, u, v, 0.14, 0.19)
        y = part.v - 0.055
        hoop = stroke(disc(part.u, y, 0.058), 0.0115, part.pixel)
        pearl = torch.minimum(disc(part.u, part.v - 0.012, 0.024), ellipse(part.u, part.v - 0.075, 0.026, 0.042))
        light = 0.85 + 0.35 * wave(part.u * 7 - part.v * 9 + 0.2)
        seen = ramp(sign * part.person.yaw, 0.24, 0.12)
        cover = torch.where(part.person.earring_hoop > 0, hoop, coverage(pearl, part.pixel)) * seen
        part.canvas.paint(cover, part.person.metal * light, "earrings", side)
        part.canvas.paint(blob(part.u + 0.01, part.v - 0.005, 0.014, 0.014) * cover, torch.ones_like(light))
        view.canvas.paste(part.canvas)


def paint_necklace(view: View) -> None:
    """A chain with a pendant."""
    rows = view.person.having("necklace")
    if not len(rows):
        return
    part = region_view(view, rows, 0.0, 0.80, 0.52, 0.28)
    x, y = torso_frame(part.canvas, part.person)
    beads = 0.8 + 0.3 * wave(x * 24) * (part.canvas.pixel < 0.02)
    chain = stroke(y - 0.90 + 1.5 * x * x, 0.009, part.pixel) * ramp(x.abs(), 0.27, 0.24)
    pendant = coverage(disc(x, y - 0.93, 0.028), part.pixel)
    part.canvas.paint((chain + pendant).clamp_(max=1), part.person.metal * beads, "necklace")
    view.canvas.paste(part.canvas)


def paint_hat(view: View) -> None:
    """A beanie with a cuff, a cap with a visor, or a hat with a brim."""
    rows = view.person.having("hat")
    if not len(rows):
        return
    part = region_view(view, rows, 0.0, -0.55, 1.05, 0.62)
    person = part.person
    kind = person.hat_kind
    x, pitch = part.u + 0.04 * person.yaw, 0.14 * person.pitch
    brim = part.v + 0.335 - pitch + torch.where(kind == 0, 0.16, 0.30) * x * x - 0.06 * person.yaw * x
    dome = ellipse(x, part.v + 0.16, person.head_width + 0.065, 0.64 + 0.04 * (kind == 0))
    crown = torch.maximum(dome, brim)
    part.canvas.paint(coverage(crown, part.pixel), _felt(part, x, dome), "hat")
    _paint_cuff(part, x, brim, dome)
    _paint_visor(part, x, brim)
    _paint_brim(part, x, dome)
    view.canvas.paste(part.canvas)


def _felt(part: View, x: Tensor, dome: Tensor) -> Tensor:
    person = part.person
    ribs = strands(x / (part.v + 1.9), person.texture_phase, part.canvas.pixel, ((24, 0.07), (75, 0.05), (160, 0.06)))
    light = 1.0 + 0.2 * x * person.light + 0.22 * blob(x - 0.15 * person.light, part.v + 0.55, 0.4, 0.25)
    return person.hat_colour * (light + ribs * (0.4 + 0.8 * (person.hat_kind == 0)) - 0.35 * ramp(dome, -0.12, 0.01))


def _paint_cuff(part: View, x: Tensor, brim: Tensor, dome: Tensor) -> None:
    person = part.person
    band = torch.maximum(torch.maximum(brim - 0.02, -0.135 - brim), dome - 0.022)
    ribs = strands(x, 0 * x + person.texture_phase, part.canvas.pixel, ((17, 0.09), (60, 0.05), (150, 0.06)))
    light = 1.08 + ribs - 0.3 * ramp(dome, -0.12, 0.02) - 0.2 * ramp(brim, -0.03, 0.02)
    colour = mix(person.hat_colour, person.second_clothes, 0.25) * light
    part.canvas.paint(coverage(band, part.pixel) * (person.hat_kind == 0), colour, "hat")


def _paint_visor(part: View, x: Tensor, brim: Tensor) -> None:
    person = part.person
    shift = 0.30 * person.yaw
    visor = torch.maximum(ellipse(x - shift, part.v + 0.335, 0.43, 0.135), -brim - 0.05 - 0.12 * (x - shift).square())
    colour = person.hat_colour * (0.82 - 0.35 * ramp(part.v, -0.33, -0.20) + 0.1 * x * person.light)
    part.canvas.paint(coverage(visor, part.pixel) * (person.hat_kind == 1), colour, "hat")
    seam = stroke(x - 0.5 * shift * ramp(part.v, -0.8, -0.4), 0.004, part.pixel) * ramp(brim, -0.04, -0.06)
    button = coverage(disc(x, part.v + 0.80, 0.028), part.pixel)
    trim = (seam * 0.4 * ramp(part.v, -0.8, -0.78) + button).clamp(max=1)
    part.canvas.paint(trim * (person.hat_kind == 1), person.hat_colour * 0.7)


def _paint_brim(part: View, x: Tensor, dome: Tensor) -> None:
    person = part.person
    y = part.v + 0.37 - 0.10 * person.pitch - 0.15 * x * x
    disc_shape = ellipse(x, y, 0.80, 0.085)
    band = torch.maximum(torch.maximum(y - 0.01, -0.12 - y), dome - 0.006)
    wide = person.hat_kind == 2
    part.canvas.paint(coverage(band, part.pixel) * wide, person.second_clothes * (0.9 + 0.15 * x * person.light), "hat")
    colour = person.hat_colour * (1.05 + 0.12 * x * person.light - 0.30 * ramp(y, 0.0, 0.08))
    part.canvas.paint(coverage(disc_shape, part.pixel) * wide, colour, "hat")
