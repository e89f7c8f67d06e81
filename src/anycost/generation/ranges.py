"""Numbers as users write them, in commas and ranges: `0-15,20,25-27`."""

import re
from collections import Counter
from collections.abc import Sequence

from anycost.errors import UserError

MOST_SEEDS = 1_000_000
"""Seeds of one command: more is a slip of the keyboard, and their list alone would fill the memory."""
_LARGEST = 2**63 - 1
_PART = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")


def parse_seeds(texts: Sequence[str], key: str = "seeds") -> list[int]:
    """`["0-3", "7"]` -> `[0, 1, 2, 3, 7]`, in the order given; both ends of a range belong to it.

    Raises `UserError` where a part is no such range, is below 0, or where all are none or more than `MOST_SEEDS`.
    """
    spans = [_span(part, key, "seeds are whole numbers from 0 up") for part in texts]
    count = sum(span.stop - span.start for span in spans)
    if not count:
        raise UserError(f"{key}= names none; give numbers and ranges, for example {key}=0-15,20")
    if count > MOST_SEEDS:
        raise UserError(f"{key}={','.join(texts)} names {count} seeds; {MOST_SEEDS} at once are the limit")
    return [seed for span in spans for seed in span]


def repeated(numbers: Sequence[int]) -> list[int]:
    """Those that are there more than once."""
    return [number for number, count in Counter(numbers).items() if count > 1]


def parse_layers(texts: Sequence[str], count: int, key: str) -> list[int]:
    """`["0-3"]` -> `[0, 1, 2, 3]`: indices of a W+ code of `count` layers, ascending, each once; else `UserError`."""
    spans = [_span(part, key, f"layers are numbers from 0 to {count - 1}") for part in texts]
    beyond = [span[-1] for span in spans if span[-1] >= count]
    if beyond:
        raise UserError(f"{key}={','.join(texts)}: there is no layer {beyond[0]}; they are 0 to {count - 1}")
    if not spans:
        raise UserError(f"{key}= names none; give layers, for example {key}=0-{count // 3}")
    return sorted({layer for span in spans for layer in span})


def _span(text: str, key: str, expected: str) -> range:
    match = _PART.fullmatch(text)
    if not match:
        raise UserError(f"{key}={text} is not understood; {expected}, with commas and ranges such as 0-15,20")
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    if last < first:
        raise UserError(f"{key}={text} goes backwards; write {last}-{first}")
    if last > _LARGEST:
        raise UserError(f"{key}={text}: {last} is above {_LARGEST}, the largest seed")
    return range(first, last + 1)
