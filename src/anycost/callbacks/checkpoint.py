"""Checkpoints in training: `last.ckpt` always, the newest few and the best few by name of the image count."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from anycost.callbacks.after_step import AfterStep
from anycost.checkpoints import LAST, capture, write
from anycost.configuration.schema import CheckpointConfig
from anycost.files import explained_errors
from anycost.runs import RunDir, RunRecord

log = logging.getLogger(__name__)


class CheckpointCallback(AfterStep):
    """Writes `kimg_<count>.ckpt`, points `last.ckpt` at it, and keeps the `keep_last` newest and `keep_best` best."""

    def __init__(self, config: CheckpointConfig, run: RunDir, record: RunRecord, every_kimg: float) -> None:
        self.config, self.run, self.record, self.every_kimg = config, run, record, every_kimg
        self.best: dict[str, float] = {}
        self.saved: tuple[int, dict[str, float]] | None = None

    def on_train_start(self, trainer: pl.Trainer, stage: Any) -> None:
        """Set aside what lies beyond the present: it was passed over as damaged, and must not count as new."""
        if trainer.is_global_zero:
            for path in self._numbered():
                if path.name > self._path(stage).name:
                    path.rename(path.with_name(f"{path.name}.damaged"))

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        if stage.clock.crossed(self.every_kimg):
            self.save(trainer, stage)

    def on_train_end(self, trainer: pl.Trainer, stage: Any) -> None:
        self.save(trainer, stage)

    def save(self, trainer: pl.Trainer, stage: Any) -> None:
        """Write a checkpoint of the present instant if there is none yet; all ranks call it, the first one writes."""
        now = stage.clock.images, dict(stage.measured)
        if trainer.is_global_zero and self.saved != now:
            self._rank(self._path(stage), stage.measured)
            self._write(trainer, stage)
            self.saved = now
        trainer.strategy.barrier()

    def keep(self, trainer: pl.Trainer, stage: Any, anew: bool = False) -> None:
        """As `save`, at an image count of which no checkpoint is due: it is not ranked with the best.

        So a run that was stopped keeps the same best ones as one that was not. `anew` replaces one that is there.
        """
        if trainer.is_global_zero and (anew or self.saved is None or self.saved[0] != stage.clock.images):
            self._write(trainer, stage)
            self.saved = stage.clock.images, {}
        trainer.strategy.barrier()

    def _write(self, trainer: pl.Trainer, stage: Any) -> None:
        path = self._path(stage)
        write(path, capture(stage, trainer.callbacks))  # type: ignore[attr-defined]
        _link(path, self.run.checkpoints / LAST)
        self._remove_old()
        self.record.images = stage.clock.images
        self.run.write_record(self.record)

    def _rank(self, path: Path, measured: dict[str, float]) -> None:
        """Enter the checkpoint into the best list if a measurement was taken at this very image count."""
        monitor = self.config.monitor or next(iter(measured), "")
        if monitor in measured:
            self.best[path.name] = measured[monitor]
        elif measured:
            taken = ", ".join(measured)
            log.warning("callbacks.checkpoint.monitor=%s was not measured: no best; there are %s", monitor, taken)
        self.best = dict(sorted(self.best.items(), key=lambda item: item[1])[: self.config.keep_best])

    def _remove_old(self) -> None:
        for path in self._numbered()[: -self.config.keep_last]:
            if path.name not in self.best:
                path.unlink()

    def _path(self, stage: Any) -> Path:
        return self.run.checkpoints / f"kimg_{stage.clock.kimg:010.3f}.ckpt"

    def _numbered(self) -> list[Path]:
        return sorted(self.run.checkpoints.glob("kimg_*.ckpt"))

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = dict(state_dict["best"])


def _link(path: Path, name: Path) -> None:
    """Make `name` another name of `path` in one step (a symbolic link would dangle when old files go)."""
    aside = name.with_name(f".{name.name}.part")
    with explained_errors(name):
        aside.unlink(missing_ok=True)
        try:
            os.link(path, aside)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, aside)
        os.replace(aside, name)
