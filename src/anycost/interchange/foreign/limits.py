"""What reading one file may cost, so that a crafted one can neither hang nor fill the memory."""

from collections.abc import Iterator
from contextlib import contextmanager

MOST_STEPS = 500_000  # a trainer's checkpoint of a 1024 px StyleGAN2 takes 114 000 in the older format of PyTorch
_COPIES = 4  # of the file's size: nested streams, their tensors, and as much again
_SLACK = 1 << 20


class Refusal(Exception):
    """Why a file is not read, in words that follow its name."""


def shown(value: object) -> str:
    """What a file brings, for a message: printable ASCII, short. Containers are named: their text may have no end."""
    if isinstance(value, int | None):
        return str(value)
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    escaped = ascii(value[:100])[1:-1]
    return escaped if len(value) <= 100 else f"{escaped}..."


class Limits:
    """The steps and bytes that a file of `size` bytes may still take; beyond them a `Refusal`."""

    def __init__(self, size: int) -> None:
        self._steps = MOST_STEPS
        self._bytes = _COPIES * size + _SLACK
        self._inside = False

    def step(self, count: int = 1) -> None:
        """Pay for `count` steps of about a microsecond and a hundred bytes each."""
        self._steps -= count
        if self._steps < 0:
            raise Refusal(f"takes more than {MOST_STEPS} steps to read, which no checkpoint of such networks does")

    def take(self, size: int) -> None:
        """Pay for `size` bytes of memory or of work."""
        self._bytes -= size
        if self._bytes < 0:
            raise Refusal(f"unpacks to more than {_COPIES} times its size; its tensors repeat the same bytes")

    @contextmanager
    def nested(self, size: int) -> Iterator[None]:
        """Read a file of `size` bytes that lies in this one; there is one such level."""
        if self._inside:
            raise Refusal("holds a PyTorch file inside a PyTorch file inside a PyTorch file")
        self.take(size)
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
