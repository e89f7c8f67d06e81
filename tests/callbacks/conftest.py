"""A stage and a trainer that hold what the measuring callbacks ask for, without any training."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from anycost.architecture import ArchitectureSpace
from anycost.callbacks import after_step
from anycost.configuration.schema import DataConfig
from anycost.networks.generator import Generator
from anycost.randomness import normal
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

    def imitated_generator(self) -> None:
        return None

    def log_values(self, values: dict[str, float]) -> None:
        self.logged.append((self.clock.images, values))


class NoiseImages:
    """A data module of 50 random pictures."""

    def __init__(self, config: DataConfig) -> None:
        self.config, self.source = config, NoiseSource()

    def real_images(self, resolution: int, count: int, batch_size: int) -> Iterator[Tensor]:
        return iter(self.source.render(range(count), resolution).split(batch_size))


class NoiseSource:
    """Random pictures that are drawn, and how many of them were."""

    drawn = 0

    def __len__(self) -> int:
        return 50

    def fingerprint(self) -> str:
        return "noise-50"

    def render(self, indices: Sequence[int], resolution: int) -> Tensor:
        self.drawn += len(indices)
        return (normal(0, "noise", indices, (3, resolution, resolution)) * 60 + 128).clamp(0, 255).to(torch.uint8)


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
def another_process(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """This is not the first process, which ends its work in every third round; what this one told it in each round."""
    told: list[list[float]] = []

    def highest(values: list[float], device: torch.device) -> list[float]:
        told.append(values)
        return [float(len(told) % 3 == 0), 0.0]

    trainer.is_global_zero = False
    monkeypatch.setattr(after_step, "highest", highest)
    return told


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
