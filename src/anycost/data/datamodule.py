"""The Lightning side of the data: which training images this process loads next."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader

from anycost.configuration.schema import DataConfig
from anycost.data.batches import Batch, ImageIndexBatches
from anycost.data.datasets import TrainingImages, identity, real_images
from anycost.data.opening import open_source
from anycost.errors import UserError
from anycost.signals import shield_worker


class ImageDataModule(pl.LightningDataModule):
    """Training images from where the clock stands to the end of the stage.

    The trainer must be built with `use_distributed_sampler=False`: the indices are already divided by rank.
    """

    def __init__(self, config: DataConfig, resolutions: Sequence[int], seed: int) -> None:
        """Open and check the source (`UserError`); `resolutions` are those that batches carry."""
        super().__init__()
        self.config = config
        self.source = open_source(config)
        self.images = TrainingImages(
            self.source, resolutions, seed, config.mirror, config.filter, config.padding, config.cache
        )

    def train_dataloader(self) -> DataLoader:
        """Batches of this rank, from the stage's `clock.images` up to its `total_images`."""
        trainer, batch_size = self.trainer, self.config.batch_size
        assert trainer is not None
        if batch_size % trainer.world_size:
            raise UserError(
                f"data.batch_size={batch_size} does not divide among {trainer.world_size} processes; "
                f"change it or trainer.devices"
            )
        stage: Any = trainer.lightning_module
        batches = ImageIndexBatches(
            stage.clock.images, stage.total_images, batch_size, trainer.global_rank, trainer.world_size
        )
        return self.dataloader(batches, pin_memory=trainer.strategy.root_device.type == "cuda")

    def dataloader(self, batches: ImageIndexBatches, pin_memory: bool = False) -> DataLoader[Batch]:
        """The loader of the given training images, with the configured workers."""
        return DataLoader(
            self.images,
            batch_sampler=batches,
            collate_fn=identity,
            num_workers=self.config.workers,
            pin_memory=pin_memory,
            worker_init_fn=shield_worker,
        )

    def real_images(self, resolution: int, count: int, batch_size: int) -> Iterator[Tensor]:
        """The first `count` pictures, not flipped, filtered as in training: uint8 `[B, 3, r, r]`."""
        config = self.config
        return real_images(
            self.source, resolution, config.filter, config.padding, count, batch_size,
            full_resolution=config.resolution, workers=config.workers,
        )
