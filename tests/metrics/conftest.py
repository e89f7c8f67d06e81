"""A stand-in for the embedded network, and published weights of the real layout with random content."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from anycost.networks.published import PublishedWeights


class StandIn(nn.Module):
    """Two strided convolutions with the interface of the embedded network."""

    identity = "stand-in"
    feature_dimension = 12

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1)

    def features(self, x: Tensor) -> list[Tensor]:
        low = self.first(x).relu()
        return [low, self.second(low).relu()]

    def pooled(self, x: Tensor) -> Tensor:
        return self.features(x)[-1].mean((2, 3))


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache: the folder of checkpoints."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("ANYCOST_INCEPTION", raising=False)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def place(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, PublishedWeights, dict], Path]:
    """Save a state dict where `anycost.networks.<module>.<weights>` is looked for, and expect its hash."""

    def save(target: str, weights: PublishedWeights, state: dict) -> Path:
        path = hub / weights.file
        torch.save(state, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(target, replace(weights, sha256_prefix=digest[:8]))
        return path

    return save
