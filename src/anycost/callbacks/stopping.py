"""Training ends in good order when its time is up (`trainer.max_minutes`), at Ctrl-C and at SIGTERM."""

import signal
import threading
import time
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch

from anycost.callbacks.checkpoint import CheckpointCallback
from anycost.stages.gradients import average, world_size


class Stopped(Exception):
    """A signal came: the checkpoint is written, nothing else is done."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"stopped by {signal.Signals(number).name}")

    def leave(self) -> None:
        """Leave the program with the status that is usual after the signal."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt from self
        raise SystemExit(128 + self.number) from self


class StopCallback(pl.Callback):
    """Ends training after the step in which `deadline` (of `time.monotonic`; None is no deadline) passes.

    A signal ends it after the step under way too, with a checkpoint but without the measurements of the end, since a
    cluster grants only seconds: `Stopped` is raised. Where no step is left, the end is measured first. A second signal
    acts at once. All processes end at the same step.
    """

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self._received = 0

    def on_train_start(self, trainer: pl.Trainer, stage: Any) -> None:
        if threading.current_thread() is threading.main_thread():  # Lightning puts the old handlers back
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._receive)

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        late = self.deadline is not None and time.monotonic() >= self.deadline
        late, received = self._agreed(late, stage)
        if received:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, CheckpointCallback):
                    callback.save(trainer, stage)
            if stage.clock.images < stage.total_images:
                raise Stopped(received)
        trainer.should_stop = trainer.should_stop or late

    def on_train_end(self, trainer: pl.Trainer, stage: Any) -> None:
        """A signal that came in the last step or while the end was measured: no further stage starts."""
        _, received = self._agreed(False, stage)
        if received:
            raise Stopped(received)

    def _agreed(self, late: bool, stage: Any) -> tuple[bool, int]:
        """Whether time is up and which signal came, for any of the processes: SIGTERM where it came to another one."""
        if world_size() == 1:
            return late, self._received
        both = average(torch.tensor([float(late), float(self._received)], device=stage.device))
        return bool(both[0] > 0), self._received or int(both[1] > 0) * signal.SIGTERM

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        print(f"{signal.Signals(number).name}: stopping after this step", flush=True)
