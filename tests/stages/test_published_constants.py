"""The numbers of the training recipe that papers and official code state."""

import pytest
import torch

from anycost.callbacks.ema import EmaCallback
from anycost.configuration.stage_schema import OptimizerConfig, PathLengthConfig
from anycost.stages.optimizers import build_adam
from anycost.stages.regularisers import PathLength


@pytest.mark.parametrize(("batch", "kimg", "decay"), [
    (32, 10.0, 0.9977843871), (32, 20.0, 0.5 ** (32 / 20000)), (10000, 10.0, 0.5), (32, 0.0, 0.0),
])
def test_ema_decay(batch: int, kimg: float, decay: float) -> None:
    assert EmaCallback(kimg).decay(batch) == pytest.approx(decay, abs=5.01e-11)


@pytest.mark.parametrize(("every", "correction", "rate", "beta2"), [
    (4, True, 0.0016, 0.9919919678), (16, True, 0.0018823529, 0.9905854573),
    (8, False, 0.002, 0.99), (None, True, 0.002, 0.99),
])
def test_adam_with_and_without_the_lazy_correction(every: int | None, correction: bool, rate: float,
                                                   beta2: float) -> None:
    adam = build_adam(OptimizerConfig(lazy_correction=correction), [torch.nn.Parameter(torch.zeros(1))], every)
    assert adam.defaults["lr"] == pytest.approx(rate, abs=1e-10)
    assert adam.defaults["betas"] == (0.0, pytest.approx(beta2, abs=1e-10))


def test_path_length_penalty_uses_the_updated_mean() -> None:
    """Decay 0.01, weight 2 x interval, deviation from the mean that already holds this batch."""
    regulariser = PathLength(PathLengthConfig(weight=2.0, every=4, decay=0.01))
    lengths = torch.tensor([1.0, 3.0])
    regulariser.update(lengths.mean())
    assert regulariser.mean.item() == pytest.approx(0.02)
    expected = 8 * ((1 - 0.02) ** 2 + (3 - 0.02) ** 2) / 2
    assert regulariser.penalty(lengths).item() == pytest.approx(expected, rel=1e-6)
    regulariser.update(torch.tensor(5.0))
    assert regulariser.mean.item() == pytest.approx(0.02 + 0.01 * (5 - 0.02))
