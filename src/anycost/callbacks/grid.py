"""Sample grids in training: the same latents every time, at the architectures of the configuration."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image

from anycost.callbacks.after_step import AfterStep, Pulse
from anycost.configuration.schema import GridConfig
from anycost.grids import draw_grid, draw_plain_grid, sample_columns, save_png

PLAIN_COLUMNS = 6


class GridCallback(AfterStep):
    """Writes `kimg_<count>.png` to `folder` every `every_kimg` thousand images and at the end; 0 writes none.

    `reals.png` shows the training images once. Loggers that take images get the grids too, as `samples` and `reals`.
    """

    def __init__(self, config: GridConfig, folder: Path, every_kimg: float) -> None:
        self.config, self.folder, self.every_kimg = config, folder, every_kimg

    def on_train_start(self, trainer: pl.Trainer, stage: Any) -> None:
        reals = self.folder / "reals.png"
        if not self.every_kimg or not trainer.is_global_zero or reals.exists():
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        count = min(self.config.rows * PLAIN_COLUMNS, len(data.source))
        images = torch.cat(list(data.real_images(stage.space.resolution, count, count)))
        picture = draw_plain_grid(images, self.config.rows)
        save_png(picture, reals)
        _log(trainer, picture, stage.clock.images, "reals")

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        if self.every_kimg and stage.clock.crossed(self.every_kimg):
            self.draw(trainer, stage)

    def on_train_end(self, trainer: pl.Trainer, stage: Any) -> None:
        if self.every_kimg:
            self.by_first_process(trainer, stage, lambda pulse: self._draw_missing(trainer, stage, pulse))

    def path(self, stage: Any) -> Path:
        """The file of the present image count."""
        return self.folder / f"kimg_{stage.clock.kimg:010.3f}.png"

    def draw(self, trainer: pl.Trainer, stage: Any) -> None:
        """Draw the grid of the present instant, on the first process; a signal interrupts."""
        self.by_first_process(trainer, stage, lambda pulse: self._draw(trainer, stage, pulse))

    def _draw_missing(self, trainer: pl.Trainer, stage: Any, pulse: Pulse) -> None:
        if not self.path(stage).exists():
            self._draw(trainer, stage, pulse)

    def _draw(self, trainer: pl.Trainer, stage: Any, pulse: Pulse) -> None:
        texts = self.config.architectures
        architectures = {label: one for text in texts for label, one in stage.space.parse_all(text).items()}
        # One architecture fills the page with people instead of leaving a single column.
        single = len(architectures) == 1
        count = self.config.rows * (PLAIN_COLUMNS if single else 1)
        generator = stage.evaluation_generator()
        columns: dict[str, torch.Tensor] = {}
        for label, architecture in architectures.items():
            pulse()
            columns |= sample_columns(generator, {label: architecture}, range(count), self.config.truncation)
        picture = draw_plain_grid(next(iter(columns.values())), self.config.rows) if single else draw_grid(columns)
        save_png(picture, self.path(stage))
        _log(trainer, picture, stage.clock.images)


def _log(trainer: pl.Trainer, picture: Image.Image, images: int, key: str = "samples") -> None:
    for logger in trainer.loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(key, [picture], step=images)
