"""The head: ears, the face's outline, and the light, blush, lines and texture of its skin."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anycost.data.faces.hair import HairShape
from anycost.data.faces.person import View, part_view
from anycost.data.faces.shapes import blob, coverage, ellipse, grain, mix, ramp, smooth_min, stroke, wave

SHADE = (0.62, 0.36, 0.30)  # what full shadow multiplies skin with
SIDES = ((-1, 0), (1, 1))  # sign of x, number of the side


@dataclass
class HeadShape:
    """Distance to the face's outline `[N, h, w]`, and coordinates in it that are about 1 at the border."""

    outline: Tensor
    across: Tensor
    down: Tensor


def head_shape(view: View) -> HeadShape:
    """A skull and a jaw, rounded into one shape; the jaw turns a little further than the skull."""
    person = view.person
    jaw_u, jaw_v = person.project(0.0, 0.16, 0.16)
    skull = ellipse(view.u, view.v + 0.13, person.head_width, 0.52)
    jaw = ellipse(view.u - jaw_u, view.v - jaw_v, person.jaw_width, person.jaw_drop - 0.16)
    outline = smooth_min(skull, jaw, 0.22)
    return HeadShape(outline, (view.u - 0.5 * jaw_u) / person.head_width, view.v / 0.62)


def shaded(skin: Tensor, amount: Tensor) -> Tensor:
    """Skin in shadow: `amount` 0 leaves it, 1 is the deepest."""
    shade = skin.new_tensor(SHADE)[:, None, None, None]
    return skin * (1 - (1 - shade) * amount)


def paint_ears(view: View) -> None:
    """Both ears; the head, painted later, hides the far one as it turns."""
    for sign, side in SIDES:
        u, v = view.person.project(sign * (view.person.head_width - 0.005), 0.03, -0.12)
        part = part_view(view, None, u, v, 0.17, 0.24)
        person, size = part.person, part.person.ear_size
        x, y = part.u * sign - 0.12 * part.v, part.v
        distance = ellipse(x, y + 0.01, 0.085 * size, 0.145 * size)
        rim = ellipse(x - 0.005, y, 0.052 * size, 0.102 * size)
        cover = coverage(distance, part.pixel)
        part.canvas.paint(cover, shaded(person.skin, 0.22 + 0.2 * ramp(x, 0.06, -0.04)), "ears", side)
        part.canvas.paint(ramp(rim, 0.012, -0.03) * 0.55, shaded(person.skin, torch.full_like(x, 0.8)))
        part.canvas.paint(blob(x - 0.015, y - 0.07, 0.035, 0.05) * 0.4, mix(person.skin, 1.0, 0.3))
        view.canvas.paste(part.canvas)


def paint_face(view: View, head: HeadShape, hair: HairShape) -> None:
    """The face without its features: one coat of skin, shaded."""
    person = view.person
    x, y = head.across, head.down
    rim = ramp(head.outline, -0.22, 0.02)
    dark = 0.30 * rim + 0.14 * rim * x * -person.light + 0.10 * (y - 0.1).clamp(min=0) - 0.13 * x * person.light
    dark = dark + hair.shadow(view) + _hollows(view)
    colour = shaded(person.skin, dark.clamp_(-0.35, 1.0))
    colour = mix(colour, 1.0, _highlights(view) * (0.10 + 0.12 * person.skin))
    colour = mix(colour, person.skin * colour.new_tensor([1.0, 0.60, 0.58])[:, None, None, None], _blush(view))
    texture = grain(view.u, view.v, person.texture_phase, view.canvas.pixel,
                    ((7, 0.010), (19, 0.008), (47, 0.011), (113, 0.016), (170, 0.018)))  # fmt: skip
    colour = colour * (1 + texture * (1 + person.wrinkles))
    view.canvas.paint(coverage(head.outline, view.pixel), colour, "skin")


def _hollows(view: View) -> Tensor:
    """Shadows of the eye sockets, under the nose, under the lip and along the cheeks."""
    person, u, v = view.person, view.u, view.v
    middle, base = person.project(0.0, 0.0, 0.36)
    x, y = u - middle, v - base
    sockets = blob(x.abs() - 0.19, y + 0.055, 0.17, 0.12)
    mouth = 0.37 + 0.02 * person.opening
    chin = blob(x, y - mouth - 0.125, 0.15, 0.045)
    cheeks = blob(x.abs() - 0.36, y - 0.28, 0.16, 0.26)
    return 0.24 * sockets + 0.26 * chin + 0.12 * cheeks


def _highlights(view: View) -> Tensor:
    """Soft light on forehead, cheek bones and chin, stronger on the side of the light."""
    person, u, v = view.person, view.u, view.v
    middle, base = person.project(0.0, 0.0, 0.36)
    x, y = u - middle, v - base
    forehead = blob(x - 0.07 * person.light, y + 0.36, 0.30, 0.17)
    cheeks = blob(x.abs() - 0.235, y - 0.14, 0.13, 0.085) * (1 + 0.5 * x.sign() * person.light)
    chin = blob(x, y - 0.545, 0.085, 0.055)
    return forehead + 0.9 * cheeks + 0.6 * chin + 0.6 * person.bald * blob(x - 0.1 * person.light, y + 0.56, 0.28, 0.14)


def _blush(view: View) -> Tensor:
    """Red of the cheeks: `rosy`, more with a smile or make-up; and freckles."""
    person, u, v = view.person, view.u, view.v
    middle, base = person.project(0.0, 0.0, 0.33)
    x, y = u - middle, v - base
    cheeks = blob(x.abs() - 0.25, y - 0.20, 0.17, 0.13)
    strength = 0.10 + 0.38 * person.rosy.square() + 0.22 * person.heavy_makeup + 0.06 * person.smile
    spots = wave(x * 19 + wave(y * 11) * 0.4) * wave(y * 23 + wave(x * 13) * 0.4)
    freckles = (spots * 3 - 1.7).clamp(0, 1) * blob(x, y - 0.13, 0.36, 0.16) * person.freckled
    return cheeks * strength + 0.55 * freckles


def paint_lines(view: View, head: HeadShape) -> None:
    """Lines of age: forehead, corners of the eyes, bags under them, and the folds from nose to mouth."""
    person = view.person
    u, v = person.project(0.0, 0.0, 0.36)
    x, y = view.u - u, view.v - v
    side = x.abs()
    old, pixel = person.wrinkles, view.pixel
    curve = y + 0.40 - 0.25 * x * x + 0.012 * wave(x * 1.7 + person.texture_phase)
    rows = (curve * 14 - (curve * 14).round()) / 14
    forehead = stroke(rows, 0.006, pixel) * ramp(curve, -0.12, -0.06) * ramp(curve, 0.14, 0.09) * ramp(side, 0.28, 0.16)
    fan = (y + 0.02) / (side - 0.20).clamp(min=0.02)
    crow = stroke((fan * 2.5 - (fan * 2.5).round()) / 2.5 * (side - 0.20).clamp(min=0.02), 0.005, pixel)
    crow = crow * ramp(side, 0.325, 0.345) * ramp(side, 0.42, 0.38) * ramp(fan.abs(), 0.75, 0.5)
    bag = y - 0.085 + 1.6 * (side - 0.2).square()
    bags = stroke(bag, 0.007, pixel) * ramp((side - 0.2).abs(), 0.12, 0.06)
    fold = side - 0.105 - 0.020 * person.smile - 0.36 * (y - 0.19) + 0.55 * (y - 0.19).square()
    folds = ramp(fold.abs(), 0.022, 0.0) * ramp(y, 0.17, 0.25) * ramp(y, 0.41, 0.30)
    strength = old * (0.34 * forehead + 0.30 * crow + 0.38 * bags)
    strength = strength + folds * (0.04 + 0.30 * old + 0.12 * person.smile.clamp(min=0))
    cover = strength.clamp_(max=0.6) * ramp(head.outline, -0.01, -0.05)
    view.canvas.paint(cover, shaded(person.skin, torch.full_like(old, 0.95)))
