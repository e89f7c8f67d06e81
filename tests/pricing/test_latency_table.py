"""A latency table predicts what it was not made from, survives bursts of other work, and is kept by its conditions."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.pricing import layer_survey
from anycost.pricing.executors import Execution, conditions, executor, running_under
from anycost.pricing.latency import latency_ms, layer_times_ms, told_times_ms
from anycost.pricing.latency_table import LatencyTable, LayerTimes, cached_table, table_path
from anycost.pricing.macs import executed_layers
from anycost.pricing.price_list import PriceList

SPACE = ArchitectureSpace(32, 0.125, 64, 3)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator(SPACE, latent_dim=16, mapping_layers=1).requires_grad_(False)


def true_ms(space: ArchitectureSpace, architecture: Architecture) -> list[float]:
    """An invented machine: each layer costs something of its own, linear in both counts and in their product."""
    layers = executed_layers(space, architecture)
    return [
        0.3,
        *(
            (place + 1) * (0.01 + 0.002 * one.inputs + 0.001 * one.outputs + 0.0001 * one.inputs * one.outputs)
            for place, one in enumerate(layers)
        ),
    ]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """The invented machine in place of this one, twice as slow in three of five layers; what ran on it."""
    ran: list[Architecture] = []
    noise = random.Random(5)

    def invented(generator: Generator, wanted: Any) -> Any:
        def times(architecture: Architecture) -> list[float]:
            true = true_ms(generator.space, architecture)
            return [ms * (1 if noise.random() < 0.4 else 2 + noise.random()) for ms in true]

        def execution(architecture: Architecture) -> Execution:
            ran.append(architecture)
            return Execution(lambda: None, lambda: times(architecture))

        return execution

    monkeypatch.setattr(layer_survey, "executor", invented)
    return ran


@pytest.mark.parametrize(
    "space",
    [
        SPACE,
        ArchitectureSpace(64, 0.25, 128, 4),
        ArchitectureSpace(16, num_resolutions=2, channels=(20, 12, 9, 24, 5, 16)),
    ],
    ids=["small", "quarter", "any widths"],
)
def test_predictions_are_those_of_the_machine(machine: list[Architecture], space: ArchitectureSpace) -> None:
    small = Generator(space, latent_dim=4, mapping_layers=1)
    table = LatencyTable.measure(small, threads=1, seconds=0.5)
    assert table.scale == pytest.approx(1, rel=1e-9)
    assert table.error.median == pytest.approx(0, abs=1e-9)
    rng = random.Random(7)
    for resolution in space.resolutions * 5:
        anything = space.from_channels([rng.randint(1, full) for full in space.full_channels], resolution)
        for architecture in (space.sample(rng, "sandwich", resolution), anything):
            assert table.predict_ms(architecture) == pytest.approx(sum(true_ms(space, architecture)), rel=1e-9)


def test_measuring_leaves_no_trace_and_reports(machine: list[Architecture], generator: Generator) -> None:
    lines: list[str] = []
    threads = torch.get_num_threads()
    generator.train()
    table = LatencyTable.measure(generator, threads=threads + 1, seconds=0.0, report=lines.append)
    assert generator.training
    assert torch.get_num_threads() == threads
    assert table.error.rounds == layer_survey.LEAST_ROUNDS == len(lines)
    assert table.conditions.threads == threads + 1
    assert {one.resolution for one in machine} == set(SPACE.resolutions)


def test_the_same_predictions_after_saving(machine: list[Architecture], generator: Generator, tmp_path: Path) -> None:
    table = LatencyTable.measure(generator, threads=1, seconds=0.1)
    table.save(tmp_path / "table.json")
    loaded = LatencyTable.load(tmp_path / "table.json")
    assert loaded == table
    drawn = [SPACE.sample(random.Random(seed), "flexible", 16) for seed in range(20)]
    assert [loaded.predict_ms(one) for one in drawn] == [table.predict_ms(one) for one in drawn]
    price = PriceList(SPACE, 16, 1, latency=loaded).price(drawn[0])
    assert price.latency_ms == table.predict_ms(drawn[0])
    assert price.executor == "plain"
    assert price.device is not None
    assert all(word in price.device for word in ("1 thread", "float32", torch.__version__))
    assert replace(price, latency_ms=None, executor=None, device=None) == PriceList(SPACE, 16, 1).price(drawn[0])


def test_it_is_measured_once_per_conditions(
    machine: list[Architecture], generator: Generator, tmp_path: Path
) -> None:
    wanted = conditions(generator, threads=1)
    table = cached_table(generator, wanted, tmp_path, seconds=0.1)
    ran = len(machine)
    assert cached_table(generator, wanted, tmp_path) == table
    assert len(machine) == ran > 0
    others = [
        (generator, conditions(generator, threads=2)),
        (generator, conditions(generator, threads=1, dtype="bfloat16")),
        (generator, conditions(generator, threads=1, batch_size=2)),
        (generator, replace(wanted, torch="2.0.0")),
        (generator, replace(wanted, device="another")),
        (Generator(SPACE, latent_dim=16, mapping_layers=2), wanted),
        (Generator(ArchitectureSpace(32, 0.125, 48, 3), latent_dim=16, mapping_layers=1), wanted),
    ]
    assert len({table_path(generator, wanted, tmp_path), *(table_path(*other, tmp_path) for other in others)}) == 8


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"format": 99})])
def test_a_file_that_is_no_table(content: str, tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(content)
    with pytest.raises(UserError, match=r"table\.json"):
        LatencyTable.load(tmp_path / "table.json")


def test_an_absent_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        LatencyTable.load(tmp_path / "none.json")


def test_between_grid_points_and_beyond_them() -> None:
    times = LayerTimes((4, 8, 16), (10, 20), ((1.0, 2.0), (2.0, 4.0), (2.0, 5.0)))
    assert times.at(4, 10) == 1.0
    assert times.at(8, 15) == 3.0
    assert times.at(6, 20) == 3.0
    assert times.at(12, 20) == 4.5
    assert times.at(16, 30) == 8.0
    assert times.at(1, 10) == 0.25
    assert LayerTimes((4, 8), (10,), ((1.0,), (5.0,))).at(1, 10) == 0.0


@pytest.mark.parametrize("name", ["plain", "frozen"])
def test_layers_sum_to_the_call(generator: Generator, name: str) -> None:
    architecture = SPACE.parse("0.5@16")
    wanted = conditions(generator, name, threads=1)
    with running_under(wanted, torch.device("cpu")):
        ready = executor(generator, wanted)(architecture)
        rounds = [(ready.parts_ms(), latency_ms(ready.run)) for _ in range(20)]
    parts, wholes = zip(*rounds, strict=True)
    assert {len(one) for one in parts} == {1 + len(list(executed_layers(SPACE, architecture)))}
    assert min(map(min, parts)) > 0
    assert 0.3 < min(map(sum, parts)) / min(wholes) < 3


def test_modules_are_timed_where_they_run(clock: None) -> None:
    ran: list[str] = []

    class Slow(torch.nn.Module):
        def __init__(self, name: str, seconds: float) -> None:
            super().__init__()
            self.name, self.seconds = name, seconds

        def forward(self) -> None:
            ran.append(self.name)
            time.sleep(self.seconds)

    layers = [Slow("first", 0.02), Slow("second", 0.05)]
    times = layer_times_ms(lambda: [layer() for layer in layers], layers)
    assert ran == ["first", "second"]
    assert times == pytest.approx([0, 20, 50])


def test_a_layer_that_begins_again_is_timed_again(clock: None) -> None:
    def call(begin: Callable[[int], None]) -> None:
        time.sleep(0.01)
        for place in (0, 1, 0):
            begin(place)
            time.sleep(0.02)

    assert told_times_ms(call, 3) == pytest.approx([10, 40, 20, 0])


def test_a_real_table_orders_what_differs_much(generator: Generator) -> None:
    wide = Generator(ArchitectureSpace(64, 1, 128, 3), latent_dim=16, mapping_layers=1).requires_grad_(False)
    table = LatencyTable.measure(wide, threads=1, seconds=1.0)
    space = wide.space
    full, small = table.predict_ms(space.full()), table.predict_ms(space.uniform(0.25, 16))
    assert full > 2 * small > 0
    with running_under(table.conditions, torch.device("cpu")):
        ready = executor(wide, table.conditions)(space.full())
        least = min(latency_ms(ready.run) for _ in range(20))
    assert full / 3 < least < 3 * full


def test_precision_and_batch_are_those_asked_for(generator: Generator) -> None:
    wanted = conditions(generator, threads=1, dtype="bfloat16", batch_size=3)
    dtypes: list[tuple[torch.dtype, int]] = []
    hook = generator.layers[0].register_forward_hook(lambda _, __, out: dtypes.append((out.dtype, len(out))))
    with running_under(wanted, torch.device("cpu")):
        executor(generator, wanted)(SPACE.full()).run()
    hook.remove()
    assert dtypes == [(torch.bfloat16, 3)]


@pytest.mark.parametrize("wrong", [{"executor": "fast"}, {"dtype": "float8"}])
def test_unknown_conditions(generator: Generator, wrong: dict[str, str]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong.values()))):
        conditions(generator, **wrong)  # type: ignore[arg-type]


def with_error(table: LatencyTable, median: float) -> LatencyTable:
    return replace(table, error=replace(table.error, median=median))


@pytest.mark.parametrize(("kept", "fresh", "better", "poor"), [
    (0.09, None, 0.09, False),
    (4.2, 0.02, 0.02, False),
    (4.2, 0.35, 0.35, True),
    (0.35, 4.2, 0.35, True),
    (float("nan"), 0.35, 0.35, True),
    (None, 4.2, 4.2, True),
])
def test_a_table_of_a_busy_machine_is_measured_again_and_the_better_one_kept(
    kept: float | None, fresh: float | None, better: float, poor: bool, machine: list[Architecture],
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    wanted = conditions(generator, threads=1)
    table, path = LatencyTable.measure(generator, threads=1, seconds=0.1), table_path(generator, wanted, tmp_path)
    made: list[float] = []

    def survey(*args: object, **options: object) -> LatencyTable:
        assert fresh is not None, "a good table is not measured again"
        made.append(fresh)
        return with_error(table, fresh)

    monkeypatch.setattr(layer_survey, "survey", survey)
    if kept is not None:
        with_error(table, kept).save(path)
    said: list[str] = []
    assert cached_table(generator, wanted, tmp_path, report=said.append).error.median == better
    assert LatencyTable.load(path).error.median == better
    assert len(made) == (fresh is not None), "at most once"
    assert sum("measuring again" in line for line in said) == (kept is not None and fresh is not None)
    assert [line.startswith("WARNING") and "not to be trusted" in line for line in said][-1:] == [poor] * bool(said)
    assert any("WARNING" in line for line in said) == poor
