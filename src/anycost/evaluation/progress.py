"""What an evaluation says while it works: a bar in a terminal, plain lines elsewhere, and running estimates."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from anycost.metrics.records import Measurement

PLAIN_EVERY_SEC = 20.0


class Meter:
    """Images done out of all, speed and time left; `quiet` shows nothing."""

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or _console()
        self.quiet = quiet
        self.title, self.done, self.total, self.skipped = "", 0, 0, 0
        self.started = self.printed = time.monotonic()
        self.bar: Progress | None = None

    def __enter__(self) -> Self:
        if not self.quiet and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
            self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console)
            self.task = self.bar.add_task("", total=None, text="")
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def expect(self, images: int) -> None:
        """So many images more will be measured by this process."""
        self.total += images

    def begin(self, title: str) -> None:
        """What comes now."""
        self.title = title
        if self.bar is not None:
            self.bar.update(self.task, description=title)

    def skip(self, images: int) -> None:
        """So many of the images expected had been measured by an earlier attempt."""
        self.done += images
        self.skipped += images

    def advance(self, images: int) -> None:
        """So many were measured."""
        self.done += images
        if self.bar is not None:
            text = f"{self.done} of {self.total} images, {self.speed:.0f}/s"
            self.bar.update(self.task, completed=self.done, total=self.total, description=self.title, text=text)
        elif time.monotonic() - self.printed >= PLAIN_EVERY_SEC:
            self._print_line()

    def say(self, text: str) -> None:
        """A line of its own."""
        if not self.quiet:
            self.console.print(text, markup=False)
            self.printed = time.monotonic()

    @property
    def speed(self) -> float:
        """Images in a second, over all columns."""
        return (self.done - self.skipped) / max(time.monotonic() - self.started, 1e-9)

    def _print_line(self) -> None:
        left = (self.total - self.done) / max(self.speed, 1e-9)
        self.say(
            f"{self.title}: {self.done} of {self.total} images, {self.speed:.0f}/s, about {readable_time(left)} left"
        )


def _console() -> Console:
    """Files have no width: 80 columns would break the names of metrics."""
    console = Console(soft_wrap=True, highlight=False)
    return console if console.is_terminal else Console(soft_wrap=True, highlight=False, width=200)


def readable_time(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def estimates_line(name: str, values: Sequence[tuple[int, Measurement]]) -> str:
    """`fd5k_embedded so far (625 images): full 0.31*, 0.5 0.42*`; a star marks what too few images bias."""
    texts = [
        f"{one.label}{' ' + one.part if one.part else ''} {one.value:.4g}{'*' if one.biased else ''}"
        for _, one in values
    ]
    return f"{name} so far ({max((count for count, _ in values), default=0)} images): {', '.join(texts)}"
