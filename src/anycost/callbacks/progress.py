"""Progress: a rich bar in a terminal, plain lines in a log file; images, losses and speed."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_PLAIN_EVERY_SEC = 20.0
_SHOWN = {"train/d_loss": "D", "train/g_loss": "G", "train/consistency_pixel": "consistency"}


class ProgressCallback(pl.Callback):
    """Shows thousands of images done, smoothed losses and images per second.

    Args:
        mode: `auto` (rich in a terminal, plain elsewhere), `rich`, `plain`.
    """

    def __init__(self, mode: str) -> None:
        self.rich = mode == "rich" or (mode == "auto" and sys.stdout.isatty())
        self.smoothed: dict[str, float] = {}
        self.bar: Progress | None = None

    def on_train_start(self, trainer: pl.Trainer, stage: Any) -> None:
        self.started, self.first = time.monotonic(), stage.clock.images
        self.printed = self.started
        if self.rich and trainer.is_global_zero:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
            self.bar = Progress(*columns, TimeRemainingColumn())
            self.task = self.bar.add_task(stage.options.name, total=stage.total_images, text="")
            self.bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        if not trainer.is_global_zero:
            return
        for name, short in _SHOWN.items():
            if name in stage.values:
                old = self.smoothed.get(short, stage.values[name])
                self.smoothed[short] = 0.95 * old + 0.05 * stage.values[name]
        if self.bar is not None:
            self.bar.update(self.task, completed=stage.clock.images, text=self._text(stage))
        elif time.monotonic() - self.printed >= _PLAIN_EVERY_SEC:
            self._print(stage)

    def on_train_end(self, trainer: pl.Trainer, stage: Any) -> None:
        if self.bar is not None:
            self.bar.stop()
        elif trainer.is_global_zero:
            self._print(stage)

    def on_exception(self, trainer: pl.Trainer, stage: Any, exception: BaseException) -> None:
        if self.bar is not None:
            self.bar.stop()

    def _print(self, stage: Any) -> None:
        self.printed = time.monotonic()
        print(f"{stage.options.name}: {self._text(stage)}", flush=True)

    def _text(self, stage: Any) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        losses = " ".join(f"{name} {value:.3f}" for name, value in self.smoothed.items())
        rate = (stage.clock.images - self.first) / seconds
        return f"{stage.clock.kimg:.1f} / {stage.total_images / 1000:.1f} kimg, {losses}, {rate:.0f} images/s"
