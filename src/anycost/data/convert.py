"""One encoded picture to one training PNG, and many of them in parallel processes (`anycost prepare`)."""

import io
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from PIL import Image

from anycost.data.decode import UnusableImage, decode_with_traits
from anycost.data.geometry import centre_aspect, check_large_enough, resize, square, square_side
from anycost.data.sources import PictureSource
from anycost.errors import UserError

CHUNK = 8
"""Pictures that go to a process at a time."""


@dataclass(frozen=True)
class Conversion:
    """What becomes of every picture. `aspect` (width, height) is cut out first; then `crop` makes it square."""

    resolution: int
    crop: str
    aspect: tuple[int, int] | None
    filter: str

    def png(self, data: bytes) -> tuple[bytes, tuple[str, ...]]:
        """The PNG of an encoded picture, and what was unusual about the file; raises `UnusableImage`."""
        image, traits = decode_with_traits(data)
        picture = self.apply(image)
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=1)  # half the time of the default for an eighth more bytes
        return file.getvalue(), traits

    def apply(self, image: Image.Image) -> Image.Image:
        """The picture cropped and resized; raises `UnusableImage` where it would have to be enlarged."""
        if self.aspect is not None:
            image = centre_aspect(image, self.aspect)
        check_large_enough(image.size, self.resolution, self.crop)
        if self.crop == "center":
            image = square(image, self.crop)
        scale = self.resolution / square_side(image.size, self.crop)
        image = resize(image, (round(image.width * scale), round(image.height * scale)), self.filter)
        return square(image, self.crop) if self.crop == "letterbox" else image


class Outcome(NamedTuple):
    """Picture `place` of the source: its PNG and traits, or the reason why it was left out."""

    place: int
    png: bytes | None
    traits: tuple[str, ...] = ()
    reason: str | None = None


def convert(source: PictureSource, conversion: Conversion, place: int) -> Outcome:
    """The outcome for one picture; what is wrong with a file is an outcome too."""
    try:
        return Outcome(place, *conversion.png(source.encoded(place)))
    except UnusableImage as error:
        return Outcome(place, None, reason=str(error))
    except MemoryError:
        return Outcome(place, None, reason="does not fit into memory")


def convert_all(
    source: PictureSource, conversion: Conversion, places: Sequence[int], workers: int
) -> Iterator[Outcome]:
    """The outcomes in the order of `places`, from `workers` processes (0: from this one)."""
    if workers == 0:
        yield from (convert(source, conversion, place) for place in places)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(source, conversion)
    )
    try:
        yield from _in_order(pool, places, ahead=4 * workers)
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died, most likely because memory ran out; "
            "the same command with a lower workers= continues where this one stopped"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, places: Sequence[int], ahead: int) -> Iterator[Outcome]:
    """Results in order, with at most `ahead` chunks under way: finished pictures must not pile up in memory."""
    chunks = (places[start : start + CHUNK] for start in range(0, len(places), CHUNK))
    pending: deque[Future[list[Outcome]]] = deque(pool.submit(_convert_chunk, c) for c in islice(chunks, ahead))
    while pending:
        yield from pending.popleft().result()
        pending.extend(pool.submit(_convert_chunk, chunk) for chunk in islice(chunks, 1))


_job: tuple[PictureSource, Conversion]


def _start_worker(source: PictureSource, conversion: Conversion) -> None:
    """Set a worker up: interrupts are the parent's business, and nobody outlives the parent."""
    global _job
    _job = (source, conversion)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # of Pillow, about files whose fate the report tells


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _convert_chunk(places: Sequence[int]) -> list[Outcome]:
    return [convert(*_job, place) for place in places]
