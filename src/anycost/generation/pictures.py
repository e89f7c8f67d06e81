"""PNG files: one a person in a folder, all in one grid, or the matrix of a style mixing."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from anycost.grids import draw_captioned, draw_grid, reduced, save_png, to_picture
from anycost.sampling import to_uint8

_COMPRESSION = 3  # 0.15 s instead of 0.80 s for a picture of 1024 px, and a file 13 % larger than at zlib's 6


def write_pictures(folder: Path, names: Iterable[str], batches: Iterable[Tensor]) -> None:
    """`folder/NAME.png` for each name and picture of the batches float `[b, 3, r, r]`; each whole or not at all.

    A thread compresses one batch while the next one is made.
    """
    left = iter(names)
    with ThreadPoolExecutor(1) as pool:
        writing: list[Future] = []
        for batch in batches:
            for future in writing:
                future.result()
            pictures = zip(islice(left, len(batch)), to_uint8(batch), strict=True)
            writing = [
                pool.submit(save_png, to_picture(image), folder / f"{name}.png", _COMPRESSION)
                for name, image in pictures
            ]
        for future in writing:
            future.result()


def tiles(batches: Iterable[Tensor]) -> Tensor:
    """What a grid keeps of float `[b, 3, r, r]`: uint8 `[N, 3, t, t]`, t at most that of a tile."""
    return torch.cat([reduced(to_uint8(batch)) for batch in batches])


def draw_people(columns: Mapping[str, Tensor], names: Sequence[str]) -> Image.Image:
    """People by their names at `{architecture: uint8 [N, 3, r, r]}`: in rows, or in a square where it is one only."""
    if len(columns) > 1:
        return draw_grid(columns, names)
    (images,) = columns.values()
    return draw_captioned(images, names)


def draw_mixing(rows: Mapping[str, Tensor], columns: Mapping[str, Tensor], mixed: Tensor) -> Image.Image:
    """The matrix: sources `{name: uint8 [3, r, r]}` to the left and above, `mixed [R C, 3, r, r]` row by row."""
    corner = torch.full_like(mixed[:1], 255)
    table = {"": torch.cat([corner, torch.stack(list(rows.values()))])}
    for place, (name, source) in enumerate(columns.items()):
        table[name] = torch.cat([source[None], mixed[place :: len(columns)]])
    return draw_grid(table, ["", *rows])


def file_names(labels: Iterable[str]) -> Iterator[str]:
    """The labels of architectures as names of folders: only letters, digits and `.@_-`; no name comes twice."""
    seen: set[str] = set()
    for label in labels:
        plain = re.sub(r"[^\w.@-]+", "-", label).strip(".-") or "architecture"
        name = next(name for name in (plain, *(f"{plain}-{n}" for n in range(2, 10_000))) if name not in seen)
        seen.add(name)
        yield name
