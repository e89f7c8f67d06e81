"""What every stage is to the rest of the framework: a clock, optimisers by name, logged values, data, results."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from anycost import __version__
from anycost.configuration.schema import TrainConfig
from anycost.errors import UserError
from anycost.interchange.weights import Header
from anycost.stages.clock import Clock, whole_batches
from anycost.stages.gradients import FlatGradients


def stage_length(config: TrainConfig) -> int:
    """Images that `config.stage` trains on: whole batches, one at least."""
    return whole_batches(config.stage.kimg, config.data.batch_size)


class Stage(pl.LightningModule):
    """Base of all stages. Checkpoints hold `state_dict()`, `adam`, the clock and the callbacks' states.

    Attributes:
        values: scalars of the step under way, averaged over processes.
        measured: metrics measured at this very image count; they rank the checkpoint.
        flat: gradients of the networks that are trained, by name, made in `on_fit_start`.
        adam: their optimisers, made in `configure_optimizers` from `restored_optimizers` where there are some.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config, self.options = config, config.stage
        self.clock = Clock(config.data.batch_size)
        self.total_images = stage_length(config)
        self.values: dict[str, float] = {}
        self.measured: dict[str, float] = {}
        self.flat: dict[str, FlatGradients] = {}
        self.adam: dict[str, torch.optim.Adam] = {}
        self.restored_optimizers: dict[str, Any] = {}

    @property
    def seed(self) -> int:
        return self.config.seed

    @abstractmethod
    def build_data(self) -> pl.LightningDataModule:
        """The data that the stage trains on, from the clock's image to `total_images`."""

    def initialise(self, weights: Mapping[str, Tensor]) -> str:
        """Take over `weights` of an earlier stage; returns one line that says what. `UserError` where none fit."""
        raise UserError(f"stage={self.options.name} starts from no other weights; leave init_from at auto")

    def expect(self, state: Mapping[str, Tensor]) -> None:
        """Make room for networks whose form only the checkpoint's `state` tells, before it is loaded."""

    @abstractmethod
    def results(self) -> tuple[dict[str, Tensor], Header]:
        """Tensors and header of the weights file of a finished run."""

    def card(self) -> dict[str, Any]:
        """How these weights were trained."""
        config = self.config
        return {
            "stage": config.stage.name,
            "data": config.data.name,
            "images": self.clock.images,
            "seed": config.seed,
            "version": __version__,
        }

    def log_values(self, values: dict[str, float]) -> None:
        """Send values to all loggers, on the x-axis of images seen; measurements are kept for the checkpoint."""
        self.measured |= {name: value for name, value in values.items() if name.startswith("metrics/")}
        if self.trainer.is_global_zero:
            for logger in self.trainer.loggers:
                logger.log_metrics(values, step=self.clock.images)

    def restore_optimizers(self) -> list[torch.optim.Optimizer]:
        """Load the moments of a checkpoint into `adam` (rates are the configuration's); returns all for Lightning."""
        for name, saved in self.restored_optimizers.items():
            own = self.adam[name].state_dict()
            self.adam[name].load_state_dict({**saved, "param_groups": own["param_groups"]})
        return list(self.adam.values())
