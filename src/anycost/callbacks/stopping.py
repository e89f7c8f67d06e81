"""Training ends in good order when its time is up (`trainer.max_minutes`), at Ctrl-C and at SIGTERM."""

import signal
import threading
import time
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch

from anycost.stages.gradients import average, world_size


class StopCallback(pl.Callback):
    """Stops after the step in which `deadline` (of `time.monotonic`; None is no deadline) passes or a signal comes.

    All processes stop at the same step. A second signal acts at once.

    Attributes:
        reason: why training stopped, in words for the user; empty where nothing stopped it.
        signal: the number of the signal that stopped it, if one did.
    """

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.reason = ""
        self.signal: int | None = None
        self._received = 0

    def on_train_start(self, trainer: pl.Trainer, stage: Any) -> None:
        if threading.current_thread() is threading.main_thread():  # Lightning puts the old handlers back
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._receive)

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        late = self.deadline is not None and time.monotonic() >= self.deadline
        received = self._received
        if world_size() > 1:
            both = average(torch.tensor([float(late), float(received)], device=stage.device))
            late, received = bool(both[0] > 0), received or int(both[1] > 0) * signal.SIGTERM
        if received:
            self.signal, self.reason = received, f"stopped by {signal.Signals(received).name}"
        elif late:
            self.reason = "time is up"
        trainer.should_stop = trainer.should_stop or bool(self.reason)

    def leave(self) -> None:
        """After a signal, leave the program with the status that is usual for it; return where there was none."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        print(f"{signal.Signals(number).name}: stopping after this step", flush=True)
