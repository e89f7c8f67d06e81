"""Damage to files, for tests of everything that reads them: what a bad disk, a cut line or an attacker may leave.

Tests get `mutate` as a fixture (`tests/conftest.py`).
"""

import random
import struct
from collections.abc import Callable

HUGE = (0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)
DIGITS = b"0123456789"


def mutate(data: bytes, rng: random.Random) -> bytes:
    """`data` with one to four kinds of damage, drawn from `rng`; never equal to `data` unless it is empty."""
    damaged = data
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        damaged = rng.choice(KINDS)(damaged, rng)
    return damaged if damaged != data else _flip(data, rng)


def _place(data: bytes, rng: random.Random) -> int:
    """A place in the file; half of the time near its beginning, where headers are."""
    end = min(len(data), 4096) if rng.random() < 0.5 else len(data)
    return rng.randrange(max(end, 1))


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((0, 1, 7, 8, 9, _place(data, rng), max(len(data) - rng.randrange(1, 64), 0)))]


def _flip(data: bytes, rng: random.Random) -> bytes:
    """Turn over one to sixteen bits."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 16)) if data else 0):
        changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    """Replace a run of bytes by zeros, ones or noise."""
    start = _place(data, rng)
    length = min(rng.choice((1, 4, 64, 4096)), len(data) - start)
    run = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return data[:start] + run + data[start + length :]


def _remove(data: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    return data[:start] + data[start + rng.choice((1, 8, 512)) :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    """Put noise, or a copy of another part of the file, somewhere."""
    start, source, length = _place(data, rng), _place(data, rng), rng.choice((1, 8, 512))
    return data[:start] + rng.choice((rng.randbytes(length), data[source : source + length])) + data[start:]


def _swap(data: bytes, rng: random.Random) -> bytes:
    """Exchange two chunks of equal length."""
    length = rng.choice((1, 8, 64, 4096))
    first, second = sorted((_place(data, rng), _place(data, rng)))
    if first + length > second:
        return _flip(data, rng)
    a, b = data[first : first + length], data[second : second + length]
    return data[:first] + b + data[first + length : second] + a + data[second + length :]


def _huge_field(data: bytes, rng: random.Random) -> bytes:
    """Write a huge or negative number of 2, 4 or 8 bytes, either way round: what lengths and offsets may claim."""
    order, kind = rng.choice("<>"), rng.choice("HIQ")
    size = struct.calcsize(kind)
    field = struct.pack(order + kind, rng.choice(HUGE) % 256**size)
    start = rng.choice((0, _place(data, rng)))
    return data[:start] + field + data[start + size :]


def _digits(data: bytes, rng: random.Random) -> bytes:
    """Make a decimal number near the beginning longer or shorter, negative or a fraction: headers of JSON, of npy."""
    places = [place for place, byte in enumerate(data[:65536]) if byte in DIGITS]
    if not places:
        return _flip(data, rng)
    place = rng.choice(places)
    text = rng.choice((b"", b"-1", b"0", b"0.5", b"1e999", b"99", b"4294967296", b"18446744073709551616", b"NaN"))
    kept = rng.choice((0, 1))
    rest = data[place + 1 - kept :]
    # Where there is room, the file keeps its length: what follows the header stays where the header says it is.
    return data[:place] + text + (rest[len(text) + kept - 1 :] if rng.random() < 0.3 else rest)


KINDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _truncate, _flip, _flip, _overwrite, _remove, _insert, _swap, _huge_field, _huge_field, _digits, _digits,
)  # fmt: skip
