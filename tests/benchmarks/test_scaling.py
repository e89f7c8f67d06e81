"""What scaling is computed from is what training does: operations and gradient sizes of real phases."""

from functools import cache

import pytest
import torch

from anycost.benchmarks.limits import count_operations
from anycost.benchmarks.scaling import PhaseCost, StepCost, step_cost
from anycost.commands import main
from anycost.configuration import tables
from anycost.configuration.composition import compose
from anycost.configuration.schema import TrainConfig
from anycost.stages.base import AdversarialStage
from anycost.training.stage_run import build_stage

TINY = ("data=faces", "data.resolution=16", "model.multiplier=0.03125", "model.channel_cap=32", "data.batch_size=4")
OPTIONS = {"stylegan2": ["stage.path_length.weight=2"],
           "ada_ch": ["stage.consistency.perceptual=none", "stage.sampled_resolutions=1"]}


def real_operations(config: TrainConfig, steps: int) -> float:
    """Operations of real training steps, for one image."""
    stage = build_stage(config)
    assert isinstance(stage, AdversarialStage)
    stage.configure_optimizers()
    stage.on_fit_start()
    images = {r: torch.zeros(4, 3, r, r, dtype=torch.uint8) for r in stage.resolutions}

    def train() -> None:
        for step in range(steps):
            stage.training_step({"index": torch.arange(4 * step, 4 * step + 4), "images": images}, step)

    return count_operations(train) / (4 * steps)


@cache
def priced(stage: str) -> tuple[TrainConfig, StepCost]:
    """A configuration of `stage`, and what it is said to cost."""
    config = compose(f"stage={stage}", *TINY, "stage.mixing_probability=1", *OPTIONS[stage])
    return config, step_cost(config)


@pytest.mark.parametrize(("stage", "steps", "tolerance"), [("stylegan2", 16, 0.001), ("ada_ch", 48, 0.05)])
def test_steps_cost_what_they_compute(stage: str, steps: int, tolerance: float) -> None:
    """Those of ada_ch draw widths and resolutions: on average."""
    config, cost = priced(stage)
    assert cost.operations == pytest.approx(real_operations(config, steps), rel=tolerance)


@pytest.mark.parametrize("stage", ["stylegan2", "ada_ch"])
def test_bytes_are_those_of_the_flat_gradients(stage: str) -> None:
    config, cost = priced(stage)
    real = build_stage(config)
    real.configure_optimizers()
    real.on_fit_start()
    phases = {phase.name: phase.reduced_bytes for phase in cost.phases}
    for name in ("generator", "discriminator"):
        buffer = real.flat[name].buffer
        assert phases[name] == buffer.numel() * buffer.element_size()


def test_bandwidth_and_efficiency_are_inverse() -> None:
    cost = StepCost((PhaseCost("discriminator", 1e9, 4_000_000, 1), PhaseCost("r1", 2e9, 4_000_000, 16)))
    assert cost.operations == 1.125e9
    assert cost.reduced_bytes == 4_250_000
    assert cost.moved_bytes(2) == cost.reduced_bytes  # each of two sends half twice
    needed = cost.bandwidth_for(0.95, 8, 4, 1e12)
    assert cost.efficiency(8, 4, 1e12, needed) == pytest.approx(0.95)
    assert cost.efficiency(8, 4, 1e12, 2 * needed) > 0.95 > cost.efficiency(64, 4, 1e12, needed)


def test_the_command_prints_phases_and_efficiencies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "scaling", "stage=stylegan2", *TINY, "processes=8,64", "bandwidths=1", "tflops=1"]) == 0
    shown = capsys.readouterr().out
    assert "sustain 1.0 TFLOP/s" in shown
    assert "| r1 | 16 |" in shown
    assert [line.split("|")[1].strip() for line in shown.splitlines()[-2:]] == ["8", "64"]


def test_a_table_is_priced_row_by_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["table2_embedded/base", "table2_embedded/vanilla_025"]
    assert set(rows) < set(tables.table_rows("table2_embedded"))
    monkeypatch.setattr(tables, "table_rows", lambda name: rows)
    assert main(["benchmark", "scaling", "table=table2_embedded", "tflops=0.0001"]) == 0
    lines = capsys.readouterr().out.splitlines()
    base, vanilla, total = (int(line.split("|")[-2]) for line in lines[-3:])
    operations = step_cost(compose("experiments=table2_embedded/base")).operations
    assert base == pytest.approx(operations * 40_000 / 1e8 / 3600, abs=1)
    assert total == pytest.approx(base + vanilla, abs=1)
    assert 0 < vanilla < base / 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["table=nothing"], "does not exist"), (["table=faces32"], "is one run"), (["stage=pipeline"], "stage=pipeline"),
     (["stage=stylegan2", "bandwidths=0"], "bandwidths=0")],
)  # fmt: skip
def test_wrong_arguments_are_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "scaling", "tflops=1", *arguments]) == 2
    assert said in capsys.readouterr().err
