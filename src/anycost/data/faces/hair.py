"""Hair: its outer shape, the opening for the face, and strands."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anycost.data.faces.person import Person, View, part_view
from anycost.data.faces.shapes import blob, coverage, disc, ellipse, mix, ramp, smooth_min, strands, wave


@dataclass
class HairShape:
    """Distances `[N, h, w]`: `outer` to all hair, `opening` to the gap that the face looks through."""

    outer: Tensor
    opening: Tensor
    cut: Tensor  # [N, 1, 1]: front hair ends at this height

    def shadow(self, view: View) -> Tensor:
        """Shadow that the hair casts on the face, in the amounts of `head.shaded`."""
        above_cut = ramp(view.v, self.cut + 0.15, self.cut - 0.1)
        return 0.42 * ramp(self.opening, -0.13, 0.01) * above_cut * (1 - view.person.bald)


def hair_shape(view: View) -> HairShape:
    """A cap over the skull and, for long hair, a curtain; wavy hair has wavy borders."""
    person, u, v = view.person, view.u, view.v
    wobble = person.curl * (0.030 * wave(v * 1.9 + 0.6 * u + person.strand_phase) + 0.010 * wave(v * 4.1 - 1.3 * u))
    scallops = person.afro * 0.022 * wave((u - 0.7 * v) * 5.2) * wave((u + 0.9 * v) * 4.7)
    x = u + 0.06 * person.yaw
    rx, ry = person.head_width + 0.035 + 0.55 * person.hair_volume, 0.525 + person.hair_volume
    cap = ellipse(x, v + 0.15, rx, ry) + scallops
    bottom = person.hair_length - 0.30 * x * x - 0.03 * wave(x * 2.3 + person.strand_phase)
    width = rx + (0.08 + 0.12 * person.curl) * (v + 0.15).clamp(min=0)
    curtain = torch.maximum(smooth_max(x.abs() - width, v - bottom, 0.16), -(v + 0.15))
    short = smooth_max(cap, v - 0.03 - 0.22 * person.afro, 0.06)
    outer = torch.where(person.long_hair > 0, torch.minimum(cap, curtain), short) + wobble
    gone = (person.bald - person.fringe_of_hair).clamp(min=0)
    opening, cut = _opening(person, u, v, wobble)
    return HairShape(outer + 9 * gone, opening, cut)


def smooth_max(a: Tensor, b: Tensor, width: float) -> Tensor:
    """Intersection with a rounded seam."""
    return -smooth_min(-a, -b, width)


def _opening(person: Person, u: Tensor, v: Tensor, wobble: Tensor) -> tuple[Tensor, Tensor]:
    """The gap for the face: a dome over a strip, its top at the hairline, pointed at a parting or cut by bangs."""
    bald, bangs = person.fringe_of_hair, person.bangs
    middle = 0.22 * person.yaw
    top = torch.where(bangs > 0, -0.215 + 0.12 * (person.hairline + 0.46), person.hairline) - 0.4 * bald
    top = top + 0.16 * person.pitch
    half = person.head_width - 0.030 + 0.03 * (1 - _falls_in_front(person))
    x = u - middle
    jag = bangs * (0.018 * wave(u * 5.5 + person.strand_phase) + 0.012 * wave(u * 12.7))
    parting = (1 - bangs) * (1 - bald) * person.part_depth * ((x - person.part).abs() - 0.1)
    temples = person.receding * 0.10 * ramp((x.abs() - 0.26).abs(), 0.14, 0.0)
    sweep = 0.22 * person.sweep * x * (1 - bald) * (1 - 0.6 * bangs)
    y = (v - 0.10 + sweep + jag + temples - parting).clamp(max=0)
    dome = 0.10 - top
    across = (x / half).square()
    squarer = 1 + 0.65 * bangs * (across - 1)  # bangs end in a flatter curve
    opening = ((across * squarer + (y / dome).square()).sqrt() - 1) * torch.minimum(half, dome) + 0.5 * wobble
    short_cut = torch.where(person.afro > 0, 0.30, 0.08)
    cut = torch.where(_falls_in_front(person) > 0, person.hair_length + 0.05, short_cut)
    return opening, cut


def _falls_in_front(person: Person) -> Tensor:
    """1 where long hair is not tucked behind the ears."""
    return person.long_hair * (1 - person.hair_tucked)


def _fine_strands(view: View) -> Tensor | float:
    """Strands that fan out from above the crown: brightness, about +-0.2."""
    person, u, v = view.person, view.u, view.v
    x = u - person.part * (1 - person.bangs)
    bend = person.curl * (0.055 * wave(v * 1.9 + 0.6 * u + person.strand_phase) + 0.014 * wave(v * 4.1 - 1.3 * u))
    across = (x + bend) / (v + 1.5)
    return strands(across, person.strand_phase, view.canvas.pixel,
                   ((5.3, 0.07), (11.9, 0.06), (27, 0.05), (58, 0.05), (121, 0.06), (230, 0.06)))  # fmt: skip


def _hair_colour(view: View, hair: HairShape, fine: Tensor | float) -> Tensor:
    """A ring of light, darkness towards the borders."""
    person, u, v = view.person, view.u, view.v
    curls = person.afro * 0.13 * wave(u * 8.3 + 0.5 * wave(v * 7.1)) * wave(v * 8.9 + 0.5 * wave(u * 6.7))
    ring_place = v + 0.52 + 0.35 * person.hair_volume - 0.55 * u * u
    ring = blob(ring_place, u - 0.25 * person.light, 0.10, 0.6) * (1 + 3 * fine) * (1 - 0.7 * person.afro)
    depth = 0.30 * ramp(hair.outer, -0.10, 0.01) + 0.22 * ramp(hair.opening, 0.10, 0.0) + 0.14 * ramp(v, 0.1, 0.9)
    light = 1 + 1.6 * fine * (1 - 0.5 * person.afro) + curls - depth + 0.12 * u * person.light
    colour = _warm(person.hair, light)
    return mix(colour, 1.0, (0.24 * ring).clamp(0, 0.5) * (0.35 + 0.65 * person.hair))


def _warm(colour: Tensor, light: Tensor | float) -> Tensor:
    """Hair under `light`; its shadows are redder than the colour itself."""
    return colour * (1 + (light - 1) * colour.new_tensor([0.88, 1.04, 1.12])[:, None, None, None])


def paint_back_hair(view: View, hair: HairShape) -> None:
    """Hair behind head and neck, in shadow; and a bun."""
    person = view.person
    rows = person.having("bun")
    if len(rows):
        part = part_view(view, rows, *_bun_place(person.select(rows)), 0.26, 0.26)
        ball = disc(part.u, part.v, 0.14)
        lines = strands(part.u * 0.8 + 0.25 * part.v + part.u * part.v * 3, part.person.strand_phase, part.canvas.pixel,
                        ((6.3, 0.12), (14, 0.10), (31, 0.08), (77, 0.08), (190, 0.08)))  # fmt: skip
        shine = blob(part.u - 0.05 * part.person.light, part.v + 0.06, 0.1, 0.07)
        light = 1.0 + lines + 0.3 * shine - 0.4 * ramp(ball, -0.07, 0)
        part.canvas.paint(coverage(ball, part.pixel), part.person.hair * light, "hair")
        view.canvas.paste(part.canvas)
    fine = strands(view.u / (view.v + 1.5), person.strand_phase, view.canvas.pixel,
                   ((6.1, 0.10), (13.7, 0.10), (41, 0.10), (113, 0.10)))  # fmt: skip
    view.canvas.paint(coverage(hair.outer, view.pixel), _warm(person.hair, 0.58 + fine), "hair")


def _bun_place(person: Person) -> tuple[Tensor, Tensor]:
    return -0.25 * person.yaw, -0.73 - person.hair_volume - 0.2 * person.pitch


def paint_front_hair(view: View, hair: HairShape) -> None:
    """Hair before the face: all of it but the opening."""
    person = view.person
    ear = 0.22 * ramp(hair.opening, 0.0, 0.08) * (1 - _falls_in_front(person)) * (1 - person.afro)
    fine = _fine_strands(view)
    border = torch.maximum(torch.maximum(hair.outer, -hair.opening), view.v - hair.cut + ear)
    view.canvas.paint(coverage(border + 0.03 * fine, view.pixel), _hair_colour(view, hair, fine), "hair")
