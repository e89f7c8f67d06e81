"""The train, val and test split of CelebA-HQ: each picture follows its CelebA original [A §7, Table 5 protocol].

Original ids below 162771 are train, below 182638 val, the rest test: 24 183, 2 993 and 2 824 pictures.
"""

import re
from pathlib import Path, PurePosixPath

from anycost.data.sources import PictureSource, Selection
from anycost.errors import UserError

MAPPING_FILE = "CelebA-HQ-to-CelebA-mapping.txt"
SPLITS = {"train": range(0, 162771), "val": range(162771, 182638), "test": range(182638, 10**6)}
PICTURES = 30000


def celeba_hq_split(source: PictureSource, split: str) -> Selection:
    """The pictures of `split`. They are known by the number that ends their names (0- or 1-based), in any order.

    The mapping file of the CelebAMask-HQ release must lie in the folder, or beside the folder or archive.
    Raises `UserError` naming what is wrong.
    """
    if split not in SPLITS:
        raise UserError(f"data.split={split} is not one of {', '.join(SPLITS)}")
    originals = read_mapping(_find_mapping(source.path))
    numbers = picture_numbers(source)
    unknown = set(numbers) - originals.keys()
    if unknown:
        raise UserError(f"{MAPPING_FILE} does not name picture {min(unknown)} of {source.path}; take the whole file")
    chosen = [k for k, number in enumerate(numbers) if originals[number] in SPLITS[split]]
    if not chosen:
        raise UserError(f"data.split={split} is empty: none of the {len(source)} pictures of {source.path} is in it")
    return Selection(source, chosen)


def read_mapping(path: Path) -> dict[int, int]:
    """{0-based number in CelebA-HQ: id in CelebA}, the first two columns of the file."""
    rows = [line.split() for line in path.read_text().splitlines()]
    try:
        mapping = {int(row[0]): int(row[1]) for row in rows if row and row[0].isdecimal()}
    except (IndexError, ValueError) as error:
        raise UserError(f"{path} is malformed: expected lines of `idx orig_idx orig_file`") from error
    if not mapping:
        raise UserError(f"{path} is malformed: it has no lines of `idx orig_idx orig_file`")
    return mapping


def picture_numbers(source: PictureSource) -> list[int]:
    """The 0-based CelebA-HQ number of every picture; files count from 1 where number 30000 is there and 0 is not."""
    numbers = []
    for k in range(len(source)):
        match = re.search(r"(\d+)$", PurePosixPath(source.name(k)).stem)
        if match is None:
            raise UserError(f"{source.name(k)} in {source.path} does not end in its CelebA-HQ number")
        numbers.append(int(match.group(1)))
    lowest, highest = min(numbers), max(numbers)
    if lowest == 0 and highest < PICTURES:
        return numbers
    if lowest >= 1 and highest == PICTURES:
        return [number - 1 for number in numbers]
    raise UserError(
        f"the pictures of {source.path} are numbered {lowest} to {highest}, but CelebA-HQ has 0 to {PICTURES - 1} "
        f"(or 1 to {PICTURES}): a split needs all of them"
    )


def _find_mapping(path: Path) -> Path:
    for folder in (path, path.parent):
        if (folder / MAPPING_FILE).is_file():
            return folder / MAPPING_FILE
    raise UserError(
        f"a split of CelebA-HQ needs {MAPPING_FILE} in or beside {path}; it comes with the CelebAMask-HQ release"
    )
