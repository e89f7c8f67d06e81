"""The averaged generator, by images: a half-life of `ema_kimg` thousand images [A Sec. 4]."""

from typing import Any

import pytorch_lightning as pl
import torch


class EmaCallback(pl.Callback):
    """Moves `stage.ema` towards `stage.generator` after every step: decay `0.5^(batch / half-life)`.

    Noise buffers are the same in both from the start, so fixed-noise pictures can be compared.
    """

    def __init__(self, half_life_kimg: float) -> None:
        self.half_life_kimg = half_life_kimg

    def decay(self, batch_size: int) -> float:
        """0.99778438712 for 32 images and a half-life of 10 thousand."""
        return 0.5 ** (batch_size / (self.half_life_kimg * 1000)) if self.half_life_kimg else 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        self.update(stage)

    @torch.no_grad()
    def update(self, stage: Any) -> None:
        """Take one step's generator into the average."""
        weight = 1 - self.decay(stage.clock.batch_size)
        torch._foreach_lerp_(list(stage.ema.parameters()), list(stage.generator.parameters()), weight)
