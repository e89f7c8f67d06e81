"""What surrounds the head: background, neck, shoulders and clothes."""

import torch
from torch import Tensor

from anycost.data.faces.canvas import Canvas
from anycost.data.faces.person import Person, View, region_view
from anycost.data.faces.shapes import blob, coverage, disc, ellipse, grain, mix, ramp, smooth_min, stroke, wave


def paint_background(canvas: Canvas, person: Person) -> None:
    """A gradient with a soft glow behind the head and, in some pictures, discs out of focus."""
    x, y = canvas.x, canvas.y
    height = 0.5 - 0.35 * y - 0.3 * person.background_slope * x
    glow = blob(x - 0.3 * person.light, y + 0.15, 1.25, 1.2)
    shade = 0.70 + 0.28 * height + person.background_light * glow
    base = person.background
    canvas.paint(torch.ones_like(glow), base * shade.clamp(max=1) + (1 - base) * (0.5 * (shade - 1).clamp(min=0)))
    strength = (0.22 * person.bokeh).clamp(min=0)
    for x0, y0, radius in ((0.0, -0.75, 0.28), (0.62, -0.35, 0.20), (-0.7, -0.2, 0.24)):
        distance = disc(x - x0 - 0.35 * person.bokeh_x, y - y0 + 0.15 * person.bokeh_x, radius)
        canvas.paint(ramp(distance, 0.06, -0.04) * strength, mix(base, 1.0, 0.6))


def torso_frame(canvas: Canvas, person: Person) -> tuple[Tensor, Tensor]:
    """Coordinates of the torso, which follows the head's place and size but does not turn with it."""
    x = (canvas.x - 0.9 * person.shift_x) / person.scale
    y = (canvas.y - person.shift_y) / person.scale + 0.07
    return x + 0.0 * y, y + 0.0 * x


def paint_neck(view: View) -> None:
    """The neck, darker under the chin."""
    part = region_view(view, None, 0.0, 0.60, 0.48, 0.56)
    canvas, person = part.canvas, part.person
    x, y = torso_frame(canvas, person)
    half = person.neck_width + 0.25 * (y - 0.72).clamp_(min=0)
    side = (x - 0.04 * person.yaw) / half
    distance = torch.maximum((side.abs() - 1) * half, 0.2 - y)
    skin = person.skin
    under_chin = ramp(y, person.jaw_drop + 0.36, person.jaw_drop - 0.02)
    dark = 0.30 * under_chin + 0.28 * (side * side).clamp(max=1) + 0.10 * side * person.light
    redder = skin.new_tensor([0.8, 1.05, 1.1])[:, None, None, None]
    canvas.paint(coverage(distance, part.pixel), skin * (1 - dark * redder), "neck")
    view.canvas.paste(canvas)


def paint_clothes(view: View) -> None:
    """Shoulders with one of four collars, cloth that shows its weave when near."""
    part = region_view(view, None, 0.0, 0.80, 1.3, 0.42)
    canvas, person, pixel = part.canvas, part.person, part.pixel
    x, y = torso_frame(canvas, person)
    shoulders = smooth_min(ellipse(x, y - 1.50, 1.08 - 0.16 * person.feminine, 0.72),
                           ellipse(x, y - 1.17, 0.42, 0.40), 0.25)  # fmt: skip
    kind = person.collar
    width = person.neck_width
    crew = ellipse(x, y - 0.62, width + 0.05, 0.24)
    vee = (2 * x.abs() + y - 1.09) * 0.447
    turtleneck = torch.full_like(x, 1.0)
    opening = torch.where(kind == 0, crew, torch.where(kind == 3, turtleneck, vee))
    collar = torch.maximum((x.abs() - width - 0.035) - 0.1 * (y - 0.8), (0.62 + 0.05 * (x / width).square()) - y)
    body = torch.where(kind == 3, torch.minimum(shoulders, collar), torch.maximum(shoulders, -opening))
    canvas.paint(coverage(body, pixel), _cloth(part, x, y, shoulders), "clothes")
    hem = stroke(torch.where(kind == 3, (y - 0.73 - 0.05 * (x / width).square()), opening - 0.025), 0.012, pixel)
    inside = coverage(body, pixel)
    canvas.paint(hem * inside * 0.35 * (kind != 2), person.clothes * 0.5)
    _paint_shirt_collar(part, x, y)
    view.canvas.paste(canvas)


def _cloth(view: View, x: Tensor, y: Tensor, shoulders: Tensor) -> Tensor:
    person = view.person
    stripes = (0.5 - 3 * wave(y * 6.5 + 0.35 * x * x)).clamp_(0, 1) * person.striped
    colour = mix(person.clothes, person.second_clothes, stripes)
    weave = grain(x, y, person.texture_phase, view.canvas.pixel, ((38, 0.05), (90, 0.09), (190, 0.10)))
    folds = 0.06 * wave(0.9 * x + 0.5 * y + person.texture_phase)
    light = 0.98 + 0.16 * x * person.light - 0.35 * ramp(shoulders, -0.10, 0.02) + folds + weave
    neck_shadow = blob(x, y - 0.80, person.neck_width + 0.22, 0.24)
    return colour * (light - 0.25 * neck_shadow)


def _paint_shirt_collar(view: View, x: Tensor, y: Tensor) -> None:
    canvas, person, pixel = view.canvas, view.person, view.pixel
    across = (2 * x.abs() + y - 1.09) * 0.447  # distance to the border of the V
    tip = 0.05 + 0.24 * (y - 0.70).clamp(0, 0.3)  # the flap widens downwards
    ends = torch.maximum(y - 0.98 - 0.35 * x.abs(), 0.69 - 0.3 * x.abs() - y)
    flap = torch.maximum(torch.maximum(-across, across - tip), ends)
    shirt = person.collar == 2
    canvas.paint(ramp(flap, 0.035, -0.01) * shirt * 0.35, person.clothes * 0.35)
    canvas.paint(coverage(flap, pixel) * shirt, mix(person.clothes, 1.0, 0.22), "clothes")


def light_picture(view: View) -> None:
    """The last touch: light from one side, warm or cool."""
    canvas, person = view.canvas, view.person
    light = person.brightness + 0.09 * person.light * canvas.x - 0.03 * canvas.y
    tint = torch.cat((1 + person.warmth, torch.ones_like(person.warmth), 1 - person.warmth)).view(3, -1, 1, 1)
    canvas.grade(light * tint)
