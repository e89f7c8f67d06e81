"""A stage and a trainer that hold what the measuring callbacks ask for, without any training."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from anycost.architecture import ArchitectureSpace
from anycost.configuration.schema import DataConfig
from anycost.networks.generator import Generator
from anycost.stages.clock import Clock


class FakeStage:
    """The part of an adversarial stage that callbacks see; `logged` gathers what they log."""

    device = torch.device("cpu")

    def __init__(self, batch_size: int = 32) -> None:
        torch.manual_seed(0)
        self.space = ArchitectureSpace(resolution=16, multiplier=0.01, channel_cap=16, num_resolutions=2)
        self.ema = Generator(self.space, latent_dim=8, mapping_layers=2)
        self.clock = Clock(batch_size)
        self.config = SimpleNamespace(data=DataConfig(name="noise", resolution=16))
        self.logged: list[tuple[int, dict[str, float]]] = []

    def evaluation_generator(self) -> Generator:
        return self.ema

    def log_values(self, values: dict[str, float]) -> None:
        self.logged.append((self.clock.images, values))


class NoiseImages:
    """A data module of 50 random pictures that counts how often it is read."""

    def __init__(self, config: DataConfig) -> None:
        self.config, self.reads = config, 0
        self.source = _Source()

    def real_images(self, resolution: int, count: int, batch_size: int) -> Iterator[Tensor]:
        self.reads += 1
        generator = torch.Generator().manual_seed(resolution)
        images = torch.randint(0, 256, (count, 3, resolution, resolution), dtype=torch.uint8, generator=generator)
        return iter(images.split(batch_size))


class _Source:
    def __len__(self) -> int:
        return 50

    def fingerprint(self) -> str:
        return "noise-50"


@pytest.fixture
def stage() -> FakeStage:
    return FakeStage()


@pytest.fixture
def trainer(stage: FakeStage) -> Any:
    return SimpleNamespace(
        is_global_zero=True,
        datamodule=NoiseImages(stage.config.data),
        loggers=[],
        strategy=SimpleNamespace(barrier=lambda: None),
    )


@pytest.fixture
def train(stage: FakeStage, trainer: Any) -> Any:
    """`train(callback, upto)`: run the hooks of steps until the clock shows `upto` images."""

    def run(callback: Any, upto: int, end: bool = False) -> None:
        callback.on_fit_start(trainer, stage)
        callback.on_train_start(trainer, stage)
        while stage.clock.images < upto:
            callback.on_train_batch_start(trainer, stage, None, 0)
            stage.clock.advance()
            callback.on_train_batch_end(trainer, stage, None, None, 0)
        if end:
            callback.on_train_end(trainer, stage)

    return run
