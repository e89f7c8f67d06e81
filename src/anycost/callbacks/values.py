"""Logged training values: means over a window of images, the same whether a run was interrupted or not."""

from typing import Any

import pytorch_lightning as pl


class ValuesCallback(pl.Callback):
    """Averages `stage.values` and logs them whenever the clock passes a multiple of `every_kimg`."""

    def __init__(self, every_kimg: float) -> None:
        self.every_kimg = every_kimg
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        for name, value in stage.values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        if self.counts and stage.clock.crossed(self.every_kimg):
            stage.log_values({name: total / self.counts[name] for name, total in self.sums.items()})
            self.sums, self.counts = {}, {}

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.sums, self.counts = dict(state_dict["sums"]), dict(state_dict["counts"])
