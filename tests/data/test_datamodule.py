"""The loader starts at the clock, ends with the stage, and divides batches among the ranks."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from anycost.configuration.schema import DataConfig
from anycost.data.datamodule import ImageDataModule
from anycost.errors import UserError


@pytest.fixture
def module(files, make_zip) -> ImageDataModule:
    config = DataConfig(name="test", kind="zip", path=str(make_zip(files)), resolution=32, batch_size=8)
    return ImageDataModule(config, [16, 32], seed=0)


def attach(module: ImageDataModule, images: int, total: int, rank: int = 0, world: int = 1) -> None:
    stage = SimpleNamespace(clock=SimpleNamespace(images=images), total_images=total)
    module.trainer = SimpleNamespace(
        lightning_module=stage, global_rank=rank, world_size=world,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )  # fmt: skip


@pytest.mark.parametrize(("rank", "world"), [(0, 1), (0, 2), (1, 2)])
def test_from_the_clock_to_the_end(module, rank, world):
    attach(module, 16, 45, rank, world)
    loader = module.train_dataloader()
    indices = [batch["index"].tolist() for batch in loader]
    assert indices == [list(range(n + rank, n + 8, world)) for n in (16, 24, 32)]
    assert len(loader) == 3


def test_uneven_division(module):
    attach(module, 0, 64, world=3)
    with pytest.raises(UserError, match=r"data\.batch_size=8 does not divide among 3"):
        module.train_dataloader()


def test_real_images(module):
    batches = list(module.real_images(16, count=10, batch_size=4))
    assert [tuple(batch.shape) for batch in batches] == [(4, 3, 16, 16), (4, 3, 16, 16), (2, 3, 16, 16)]


class Counting(pl.LightningModule):
    """Consumes batches and moves its clock, as a stage does."""

    total_images = 40

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.automatic_optimization = False
        self.clock = SimpleNamespace(images=16)
        self.seen: list[int] = []

    def training_step(self, batch, batch_index):
        assert {r: tuple(x.shape) for r, x in batch["images"].items()} == {16: (8, 3, 16, 16), 32: (8, 3, 32, 32)}
        self.seen += batch["index"].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters())


def test_under_a_trainer(module, tmp_path):
    stage = Counting()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(stage, datamodule=module)
    assert stage.seen == list(range(16, 40))
