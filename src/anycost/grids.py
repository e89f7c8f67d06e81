"""Grids of pictures as labelled PNG files: rows are latents, columns are architectures; or each under its caption."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from torch import Tensor

from anycost.architecture import Architecture
from anycost.files import atomic_write
from anycost.networks.generator import Generator
from anycost.sampling import sample, to_uint8

TILE_RANGE = (128, 256)
"""Sides of a tile in pixels: smaller pictures are enlarged by whole factors (nearest), larger ones reduced."""
LABEL_HEIGHT, _GAP, _FONT_SIZE = 24, 2, 14
COLUMNS = "columns"
"""The text field of a labelled PNG file that holds the names of its columns, as a JSON list."""
_BACKGROUND, _INK = (255, 255, 255), (30, 30, 30)


def sample_columns(
    generator: Generator,
    architectures: Mapping[str, Architecture],
    seeds: Sequence[int],
    truncation: float = 1.0,
    batch_size: int = 8,
) -> dict[str, Tensor]:
    """`{label: uint8 [len(seeds), 3, r, r]}`: the same latents and fixed noises at every architecture."""
    columns = {}
    for label, architecture in architectures.items():
        records = sample(generator, architecture, seeds, batch_size, noise="const", truncation=truncation)
        columns[label] = torch.cat([to_uint8(record.images).cpu() for record in records])
    return columns


def draw_grid(columns: Mapping[str, Tensor], rows: Sequence[str] = ()) -> Image.Image:
    """A picture of `{label: uint8 [N, 3, r, r]}`; the resolutions of columns may differ, tiles are of one size.

    `rows` are the names of the N rows, written to the left of them.
    """
    side = tile_side(max(images.shape[-1] for images in columns.values()))
    tiles = [[_tile(image, side) for image in images] for images in columns.values()]
    margin = max((math.ceil(_font().getlength(name)) + 4 * _GAP for name in rows), default=0)
    picture = _paste(tiles, side, top=LABEL_HEIGHT, left=margin)
    draw = ImageDraw.Draw(picture)
    for column, label in enumerate(columns):
        _write_label(draw, label, left=margin + column * (side + _GAP), width=side)
    for row, name in enumerate(rows):
        middle = LABEL_HEIGHT + row * (side + _GAP) + side / 2
        draw.text((margin - 2 * _GAP, middle), name, fill=_INK, font=_font(), anchor="rm")
    picture.info[COLUMNS] = json.dumps(list(columns))
    return picture


def draw_captioned(images: Tensor, captions: Sequence[str]) -> Image.Image:
    """uint8 `[N, 3, r, r]` row by row in a grid about as wide as it is high, each picture under its caption."""
    side, across = tile_side(images.shape[-1]), math.ceil(math.sqrt(len(images)))
    step, height = side + _GAP, LABEL_HEIGHT + side + _GAP
    size = across * step - _GAP, math.ceil(len(images) / across) * height - _GAP
    picture = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = place % across * step, place // across * height
        picture.paste(_tile(image, side), (left, top + LABEL_HEIGHT))
        _write_label(draw, caption, left, side, top)
    return picture


def draw_labels(labels: Sequence[str], side: int) -> Image.Image:
    """A strip of names, each in the middle of its `side` pixels: what stands above pictures side by side."""
    strip = Image.new("RGB", (len(labels) * side, LABEL_HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for place, label in enumerate(labels):
        _write_label(draw, label, place * side, side)
    return strip


def reduced(images: Tensor) -> Tensor:
    """uint8 `[N, 3, r, r]` no larger than a tile can be: what a grid needs to keep of them."""
    largest = TILE_RANGE[1]
    if images.shape[-1] <= largest:
        return images
    tiles = [np.asarray(_tile(image, largest)) for image in images]
    return torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2)


def to_picture(image: Tensor) -> Image.Image:
    """uint8 `[3, r, r]` as Pillow has it."""
    return Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))


def draw_plain_grid(images: Tensor, rows: int) -> Image.Image:
    """uint8 `[N, 3, r, r]`, filled column by column, without labels: the reals."""
    side = tile_side(images.shape[-1])
    tiles = [_tile(image, side) for image in images]
    return _paste([tiles[start : start + rows] for start in range(0, len(tiles), rows)], side, top=0)


def save_png(picture: Image.Image, path: Path, compression: int = 6) -> None:
    """Write the file whole or not at all, with the names of the columns where the picture has them.

    `compression` is zlib's, 0 to 9.
    """
    texts = PngImagePlugin.PngInfo()
    if COLUMNS in picture.info:
        texts.add_text(COLUMNS, picture.info[COLUMNS])
    with atomic_write(path) as file:
        picture.save(file, format="PNG", pnginfo=texts, compress_level=compression)


def tile_side(resolution: int) -> int:
    """Side of a tile for pictures of at most `resolution`: a power of two within `TILE_RANGE`."""
    smallest, largest = TILE_RANGE
    return min(max(resolution, smallest), largest)


def has_label_strip(size: tuple[int, int]) -> bool:
    """Whether a grid of this width and height in pixels has names above its tiles."""
    width, height = (length + _GAP for length in size)
    steps = {side + _GAP for side in TILE_RANGE}
    return any(width % step == 0 and height % step == LABEL_HEIGHT for step in steps)


def _tile(image: Tensor, side: int) -> Image.Image:
    resample = Image.Resampling.NEAREST if image.shape[-1] <= side else Image.Resampling.LANCZOS
    return to_picture(image).resize((side, side), resample)


def _paste(columns: Sequence[Sequence[Image.Image]], side: int, top: int, left: int = 0) -> Image.Image:
    rows, step = max(len(column) for column in columns), side + _GAP
    picture = Image.new("RGB", (left + len(columns) * step - _GAP, top + rows * step - _GAP), _BACKGROUND)
    for x, column in enumerate(columns):
        for y, tile in enumerate(column):
            picture.paste(tile, (left + x * step, top + y * step))
    return picture


def _write_label(draw: ImageDraw.ImageDraw, label: str, left: int, width: int, top: int = 0) -> None:
    """Centred above its picture, in the largest size up to the usual one that fits."""
    fonts = (_font(size) for size in range(_FONT_SIZE, 6, -1))
    font = next((font for font in fonts if draw.textlength(label, font) <= width), _font(7))
    draw.text((left + width / 2, top + LABEL_HEIGHT / 2), label, fill=_INK, font=font, anchor="mm")


@cache
def _font(size: int = _FONT_SIZE) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
