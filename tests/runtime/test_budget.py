"""A number of milliseconds picks an architecture from a measured price list; latencies of frozen ones are measured."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.pricing.choosing import best_within
from anycost.pricing.executors import conditions, executor, running_under
from anycost.pricing.latency_table import LatencyTable, LayerTimes, PredictionError
from anycost.pricing.macs import executed_layers
from anycost.pricing.price_list import PriceList
from anycost.runtime import Renderer

SPACE = ArchitectureSpace(32, 0.125, 64, 3)
TINY = ("model=small", "model.resolution=32", "model.multiplier=0.125", "model.channel_cap=64", "model.latent_dim=16",
        "model.mapping_layers=1")  # fmt: skip


@pytest.fixture
def prices() -> PriceList:
    """An invented machine: every layer takes 1 ms, whatever its channels; 2 ms before the first."""
    layers = tuple(LayerTimes((1, 64), (1, 64), ((1.0, 1.0), (1.0, 1.0))) for _ in executed_layers(SPACE, SPACE.full()))
    wanted = replace(conditions(Generator(SPACE, 16, 1)), executor="frozen", device="a machine")
    error = PredictionError(0.0, 0.0, 1, 1)
    return PriceList(SPACE, 16, 1, LatencyTable(SPACE, 16, 1, wanted, 2.0, layers, 1.0, error))


def test_the_dearest_that_fits(prices: PriceList) -> None:
    assert prices.price(SPACE.full()).latency_ms == 13.0
    assert best_within(13, prices).key == SPACE.full().key
    assert best_within(12.9, prices).key == SPACE.full(16).key
    assert best_within(7, prices).key == SPACE.full(8).key
    given = [SPACE.uniform(0.25), SPACE.uniform(0.5), SPACE.uniform(0.75, 8)]
    assert best_within(1000, prices, given) is given[1]
    assert best_within(12, prices, given) is given[2]


def test_a_budget_that_nothing_fits(prices: PriceList) -> None:
    with pytest.raises(UserError, match=r"budget=3ms is below the fastest .*@8, which takes 7 ms with the frozen"):
        best_within(3, prices)
    with pytest.raises(UserError, match="needs a price list with measured latencies"):
        best_within(3, PriceList(SPACE, 16, 1))
    with pytest.raises(UserError, match="no architectures to choose from"):
        best_within(3, prices, [])


def test_the_frozen_executor_renders_in_the_dtype(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[torch.dtype] = []
    original = Renderer.frozen
    monkeypatch.setattr(Renderer, "frozen", lambda self, one: used.append(self.dtype) or original(self, one))
    for dtype in ("float32", "bfloat16"):
        wanted = conditions(generator, "frozen", threads=1, dtype=dtype, batch_size=3)
        with running_under(wanted, torch.device("cpu")):
            image = executor(generator, wanted)(SPACE.uniform(0.5, 16)).run()
        assert isinstance(image, torch.Tensor)
        assert image.shape == (3, 3, 16, 16)
    assert used == [torch.float32, torch.bfloat16]


def test_latency_of_frozen_architectures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["executor=frozen", "threads=1", "seconds=0", "predict=false", f"output={tmp_path / 'out.json'}"]
    assert main(["benchmark", "latency", *TINY, *options]) == 0
    assert "executor frozen on " in capsys.readouterr().out
    kept = json.loads((tmp_path / "out.json").read_text())
    assert kept["conditions"]["executor"] == "frozen"
    assert all(row["ms"] > 0 for row in kept["rows"])


def test_a_table_of_frozen_layers(generator: Generator) -> None:
    table = LatencyTable.measure(generator, "frozen", threads=1, seconds=0.5)
    assert table.executor == "frozen"
    prices = PriceList(SPACE, 16, 2, table)
    full = prices.price(SPACE.full())
    assert full.executor == "frozen"
    assert full.latency_ms is not None
    assert best_within(1000 * full.latency_ms, prices).key == SPACE.full().key
