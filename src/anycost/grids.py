"""Sample grids as labelled PNG files: rows are latents, columns are architectures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

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


def draw_grid(columns: Mapping[str, Tensor]) -> Image.Image:
    """A picture of `{label: uint8 [rows, 3, r, r]}`; the resolutions of columns may differ, tiles are of one size."""
    side = tile_side(max(images.shape[-1] for images in columns.values()))
    tiles = [[_tile(image, side) for image in images] for images in columns.values()]
    picture = _paste(tiles, side, top=LABEL_HEIGHT)
    draw = ImageDraw.Draw(picture)
    for column, label in enumerate(columns):
        _write_label(draw, label, left=column * (side + _GAP), width=side)
    picture.info[COLUMNS] = json.dumps(list(columns))
    return picture


def draw_plain_grid(images: Tensor, rows: int) -> Image.Image:
    """uint8 `[N, 3, r, r]`, filled column by column, without labels: the reals."""
    side = tile_side(images.shape[-1])
    tiles = [_tile(image, side) for image in images]
    return _paste([tiles[start : start + rows] for start in range(0, len(tiles), rows)], side, top=0)


def save_png(picture: Image.Image, path: Path) -> None:
    """Write the file whole or not at all, with the names of the columns where the picture has them."""
    texts = PngImagePlugin.PngInfo()
    if COLUMNS in picture.info:
        texts.add_text(COLUMNS, picture.info[COLUMNS])
    with atomic_write(path) as file:
        picture.save(file, format="PNG", pnginfo=texts)


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
    picture = Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    resample = Image.Resampling.NEAREST if image.shape[-1] <= side else Image.Resampling.LANCZOS
    return picture.resize((side, side), resample)


def _paste(columns: Sequence[Sequence[Image.Image]], side: int, top: int) -> Image.Image:
    rows, step = max(len(column) for column in columns), side + _GAP
    picture = Image.new("RGB", (len(columns) * step - _GAP, top + rows * step - _GAP), _BACKGROUND)
    for x, column in enumerate(columns):
        for y, tile in enumerate(column):
            picture.paste(tile, (x * step, top + y * step))
    return picture


def _write_label(draw: ImageDraw.ImageDraw, label: str, left: int, width: int) -> None:
    """Centred above its column, in the largest size up to the usual one that fits."""
    for size in range(_FONT_SIZE, 6, -1):
        font = ImageFont.load_default(size)
        if draw.textlength(label, font) <= width:
            break
    draw.text((left + width / 2, LABEL_HEIGHT / 2), label, fill=_INK, font=font, anchor="mm")
