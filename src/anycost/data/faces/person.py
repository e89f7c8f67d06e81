"""The person in a picture: parameters ready to broadcast, the frame of the head, and windows on its parts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anycost.data.faces.canvas import Canvas
from anycost.data.faces.parameters import Parameters


class Person:
    """Parameters as attributes that broadcast with canvases: numbers `[N, 1, 1]` (switches 0 or 1), colours `[3, N, 1, 1]`."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    def __getattr__(self, name: str) -> Tensor:
        value = self.parameters[name]
        if value.dim() == 2:
            return value.T[:, :, None, None]
        return value.float()[:, None, None]

    def having(self, name: str) -> Tensor:
        """The rows (int64 `[M]`) of the people whose switch `name` is on."""
        return self.parameters[name].nonzero()[:, 0]

    def select(self, rows: Tensor) -> "Person":
        """Only these rows."""
        return Person({name: value[rows] for name, value in self.parameters.items()})

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


def part_view(view: View, rows: Tensor, u: Tensor, v: Tensor, half_width: float, half_height: float) -> View:
    """A window on a part of the heads `rows`, with its own origin at (u, v) of `[len(rows), 1, 1]`.

    The half sides, in the head's units, must cover the part at any roll and scale that the parameters allow.
    """
    person = view.person.select(rows)
    x = person.shift_x + person.scale * (person.roll_cosine * u - person.roll * v)
    y = person.shift_y + person.scale * (person.roll * u + person.roll_cosine * v)
    window = view.canvas.window(rows, x, y, half_width, half_height)
    return head_view(window, person, u, v)


def everyone(view: View) -> Tensor:
    """All rows of the view."""
    return torch.arange(view.canvas.data.shape[1])
