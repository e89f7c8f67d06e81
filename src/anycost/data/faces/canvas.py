"""Canvases: what shapes are painted on, either colours or labels; and crops, so that small parts cost little."""

from dataclasses import dataclass

import torch
from torch import Tensor

LABEL_NAMES = (
    "background", "skin", "hair", "brows", "eyes", "nose", "lips", "mouth", "ears", "neck", "facial_hair", "glasses",
    "earrings", "necklace", "hat", "clothes",
)  # fmt: skip


@dataclass
class Canvas:
    """A batch of pictures or windows of pictures. The centre of the whole picture is (0, 0), its corners (+-1, +-1)."""

    x: Tensor  # [N, 1, w], grows to the right
    y: Tensor  # [N, h, 1], grows downwards
    pixel: float
    data: Tensor  # [channels, N, h, w]
    places: Tensor | None = None  # int64 [N, h, w]: where a window's pixels lie in the picture's flattened data

    def paint(self, cover: Tensor, colour: Tensor, label: str | None = None, side: int = 0) -> None:
        """Lay `colour` `[3, N, 1 or h, 1 or w]` over the picture, opaque where `cover` `[N, h, w]` is 1.

        `label` names what the shape is in label maps (None: shading, which no label map shows). `side` is 1 for the
        right one of a pair, seen from the viewer: it tells its instance from the left one.
        """
        raise NotImplementedError

    def mark(self, cover: Tensor, label: str, side: int = 0) -> None:
        """Label a shape without painting it."""

    def grade(self, factor: Tensor) -> None:
        """Multiply all colours by `factor`, which broadcasts to `[3, N, h, w]`."""

    def window(self, rows: Tensor | None, x: Tensor, y: Tensor, half_width: float, half_height: float) -> "Canvas":
        """Copy of a rectangle of some pictures: `rows` int64 `[M]` (None: all), centres `x`, `y` of `[M, 1, 1]`.

        All windows have the same size and are moved to lie inside the picture.
        """
        count, height, width = self.data.shape[1:]
        rows = torch.arange(count) if rows is None else rows
        w = min(width, int(2 * half_width / self.pixel) + 2)
        h = min(height, int(2 * half_height / self.pixel) + 2)
        left = ((x + 1) / self.pixel - w / 2).round().long().clamp(0, width - w)
        top = ((y + 1) / self.pixel - h / 2).round().long().clamp(0, height - h)
        columns = left + torch.arange(w)
        lines = top + torch.arange(h)[:, None]
        places = (rows[:, None, None] * height + lines) * width + columns
        return type(self)(
            x=(columns + 0.5) * self.pixel - 1,
            y=(lines + 0.5) * self.pixel - 1,
            pixel=self.pixel,
            data=self.data.flatten(1)[:, places],
            places=places,
        )

    def paste(self, window: "Canvas") -> None:
        """Write a window of this canvas back."""
        self.data.flatten(1)[:, window.places] = window.data


class ColourCanvas(Canvas):
    """data: float32 `[3, N, h, w]`, red, green, blue, nominal range [0, 1]."""

    def paint(self, cover: Tensor, colour: Tensor, label: str | None = None, side: int = 0) -> None:
        self.data.add_((colour - self.data).mul_(cover))

    def grade(self, factor: Tensor) -> None:
        self.data.mul_(factor)


class LabelCanvas(Canvas):
    """data: uint8 `[2, N, h, w]`, the place in `LABEL_NAMES` and the side of a pair."""

    def paint(self, cover: Tensor, colour: Tensor, label: str | None = None, side: int = 0) -> None:
        if label is not None:
            self.mark(cover, label, side)

    def mark(self, cover: Tensor, label: str, side: int = 0) -> None:
        hit = cover >= 0.5
        self.data[0].masked_fill_(hit, LABEL_NAMES.index(label))
        self.data[1].masked_fill_(hit, side)


def blank_canvas(kind: type[Canvas], count: int, resolution: int) -> Canvas:
    """A canvas of `count` whole pictures."""
    pixel = 2 / resolution
    centres = (torch.arange(resolution) + 0.5) * pixel - 1
    shape, dtype = ((3,), torch.float32) if kind is ColourCanvas else ((2,), torch.uint8)
    return kind(
        x=centres.expand(count, 1, resolution),
        y=centres[:, None].expand(count, resolution, 1),
        pixel=pixel,
        data=torch.zeros(*shape, count, resolution, resolution, dtype=dtype),
    )
