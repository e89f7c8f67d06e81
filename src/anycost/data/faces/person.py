"""The person in a picture: parameters ready to broadcast, the frame of the head, and windows on its parts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anycost.data.faces.canvas import Canvas
from anycost.data.faces.parameters import Parameters


class Person:
    """Parameters as attributes that broadcast with canvases: numbers, switches `[N, 1, 1]`, colours `[3, N, 1, 1]`."""

    def __init__(self, parameters: Parameters, rows: Tensor | None = None) -> None:
        self.parameters = parameters
        self.rows = rows

    def __getattr__(self, name: str) -> Tensor:
        """Called for what is not an attribute yet; a part reads few of the parameters, but those often."""
        value = self.parameters[name] if self.rows is None else self.parameters[name][self.rows]
        value = value.T[:, :, None, None] if value.dim() == 2 else value.float()[:, None, None]
        self.__dict__[name] = value
        return value

    def having(self, name: str) -> Tensor:
        """The rows (int64 `[M]`) of the people whose switch `name` is on."""
        return self.parameters[name].nonzero()[:, 0]

    def select(self, rows: Tensor) -> "Person":
        """Only these rows; not to be applied twice."""
        return Person(self.parameters, rows)

    def project(self, x: Tensor | float, y: Tensor | float, depth: float) -> tuple[Tensor, Tensor]:
        """Where a point of the head that looks straight ahead comes to lie when the head turns and nods."""
        return x * self.yaw_cosine + depth * self.yaw, y * self.pitch_cosine + depth * self.pitch


@dataclass
class View:
    """A canvas, the people on it, and coordinates of the head's frame on it."""

    canvas: Canvas
    person: Person
    u: Tensor  # [N, h, w]
    v: Tensor  # [N, h, w]
    pixel: Tensor  # [N, 1, 1]: width of a pixel in the units of u and v


def head_view(canvas: Canvas, person: Person, u: Tensor | float = 0.0, v: Tensor | float = 0.0) -> View:
    """The head's frame with the origin moved to (u, v)."""
    x = (canvas.x - person.shift_x) / person.scale
    y = (canvas.y - person.shift_y) / person.scale
    cosine, sine = person.roll_cosine, person.roll
    return View(canvas, person, (cosine * x - u) + sine * y, (-sine * x - v) + cosine * y, canvas.pixel / person.scale)


def region_view(view: View, rows: Tensor | None, u: float, v: float, half_width: float, half_height: float) -> View:
    """The head's frame in a window around (u, v), for the heads `rows` (None: all); half sides as in `part_view`."""
    part = part_view(view, rows, torch.full((1, 1, 1), u), torch.full((1, 1, 1), v), half_width, half_height)
    return head_view(part.canvas, part.person)


def part_view(view: View, rows: Tensor | None, u: Tensor, v: Tensor, half_width: float, half_height: float) -> View:
    """A window on a part of the heads `rows` (None: all), with its own origin at (u, v) of `[M, 1, 1]`.

    The half sides, in the head's units, must cover the part at any roll and scale that the parameters allow.
    """
    person = view.person if rows is None else view.person.select(rows)
    x = person.shift_x + person.scale * (person.roll_cosine * u - person.roll * v)
    y = person.shift_y + person.scale * (person.roll * u + person.roll_cosine * v)
    window = view.canvas.window(rows, x, y, half_width, half_height)
    return head_view(window, person, u, v)
