"""The training benchmark compares like with like, and counts what it says it counts."""

import pytest
import torch
from torch.nn import functional as F

from anycost.benchmarks.limits import count_operations
from anycost.benchmarks.plain_step import PlainStep
from anycost.benchmarks.training import Case, Measurement, build_stage, random_batch, table
from anycost.callbacks.ema import EmaCallback
from anycost.commands import main

TINY = Case(resolution=16, multiplier=0.02, channel_cap=16, batch_size=8, num_resolutions=2)


def test_both_definitions_of_the_step_move_the_weights_alike() -> None:
    stage = build_stage(TINY).double()
    stage.configure_optimizers()
    stage.on_fit_start()
    plain = PlainStep(stage)
    before = {name: x.clone() for name, x in plain.generator.state_dict().items()}
    average = EmaCallback(stage.options.ema_kimg)
    for step in range(16):  # the last one has the R1 phase
        batch = random_batch(TINY, step * TINY.batch_size)
        stage.training_step(batch, step)
        average.update(stage)
        plain(batch)
    for ours, theirs in ((stage.generator, plain.generator), (stage.discriminator, plain.discriminator)):
        weights = ours.state_dict()
        for name, x in theirs.named_parameters():
            torch.testing.assert_close(weights[name], x, rtol=1e-6, atol=1e-7, msg=lambda text, name=name: name + text)
    for name, x in plain.ema.named_parameters():
        torch.testing.assert_close(stage.ema.state_dict()[name], x, rtol=1e-6, atol=1e-7)
    moved = max(float((x.detach() - before[name]).abs().max()) for name, x in plain.generator.named_parameters())
    assert moved > 1e-3


def test_operations_are_two_per_multiply_add() -> None:
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3)
    assert count_operations(lambda: F.conv2d(x, weight, padding=1)) == 2 * 2 * 64 * 9 * 3 * 5
    assert count_operations(lambda: torch.randn(4, 6) @ torch.randn(6, 7)) == 2 * 4 * 6 * 7


def test_the_table_shows_ratio_and_share_of_the_peak() -> None:
    row = table([Measurement(32, "32", 50.0, 100.0, 900.0, 800.0, 1e9, 2e11)]).splitlines()[-1]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "32", "32", "50.0", "100.0", "2.00", "900", "800", "1.00", "50%",
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["inference"], ["training", "resolutions=48"], ["training", "precisions=8"]])
def test_wrong_arguments_are_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", *arguments]) == 2
    assert "error: " in capsys.readouterr().err
