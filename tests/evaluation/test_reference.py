"""Statistics of real images: made once for all who need them, at the resolution of the architecture, never enlarged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anycost.configuration.schema import DataConfig
from anycost.errors import UserError
from anycost.evaluation.evaluate import evaluate_in_memory
from anycost.evaluation.planning import Plan
from anycost.evaluation.reference import Reference
from anycost.evaluation.rendering import Reals

Planned = Callable[..., Plan]


def test_reals_are_drawn_once_for_resolutions_metrics_and_evaluations(planned: Planned, source: Any) -> None:
    first = evaluate_in_memory(planned(["frechet20", "kernel30"]))
    assert source.drawn == 30
    assert evaluate_in_memory(planned(["frechet20", "kernel30"])) == first
    assert source.drawn == 30
    evaluate_in_memory(planned(["frechet21"]))
    assert source.drawn == 51


@pytest.mark.parametrize("change", [{"filter": "box"}, {"padding": "letterbox"}, {"resolution": 32}])
def test_another_way_of_reading_is_another_reference(
    change: dict[str, Any], planned: Planned, source: Any, tmp_path: Path
) -> None:
    plan = planned(["frechet20"], ["full"])
    evaluate_in_memory(plan)
    assert plan.reference
    other = Reference(source, replace(plan.reference.config, **change), tmp_path / "cache")
    assert plan.reference.state(plan.measures[0], 16) is not None
    assert other.state(plan.measures[0], 16) is None


def test_records_tell_ways_of_reading_apart_in_training_and_evaluation(source: Any, tmp_path: Path) -> None:
    usual = DataConfig(name="noise", resolution=16)
    ways = [usual, replace(usual, filter="box"), replace(usual, padding="letterbox"), replace(usual, resolution=32)]
    found = [Reference(source, one, tmp_path).identity for one in ways]
    drawn = ["drawn16", "drawn16-box-crop", "drawn16-bilinear-letterbox", "drawn32"]
    assert found == [f"noise-100-{way}" for way in drawn]


def test_a_broken_file_is_made_again(
    planned: Planned, source: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = evaluate_in_memory(planned(["frechet20"], ["full"]))
    (file,) = (tmp_path / "cache" / "statistics").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert evaluate_in_memory(planned(["frechet20"], ["full"])) == first
    assert str(file) in caplog.text
    assert source.drawn == 40


def test_large_states_are_read_from_the_file_each_time(
    planned: Planned, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = planned(["kernel20"], ["full"])
    monkeypatch.setattr("anycost.evaluation.reference._REMEMBERED_BYTES", 100)
    evaluate_in_memory(plan)
    assert plan.reference
    first, second = (plan.reference.state(plan.measures[0], 16) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first is not second
    np.testing.assert_array_equal(first.arrays()["rows"], second.arrays()["rows"])


def test_reals_come_in_order_unflipped_and_filtered(source: Any) -> None:
    config = DataConfig(name="noise", resolution=16, filter="box")
    (batches,) = Reals(source, config, [8, 16], torch.device("cpu")).batches([(3, 7)])
    low, high = (batch.images for batch in batches)
    expected = source.render(range(3, 7), 16)
    assert torch.equal(high, expected)
    assert torch.equal(low, torch.nn.functional.avg_pool2d(expected.float(), 2).round().to(torch.uint8))


def test_too_few_reals(planned: Planned) -> None:
    plan = planned(["fid50k"], ["full"])
    assert plan.reference
    with pytest.raises(UserError, match=r"metrics=fid50k needs 50000 real images, the data set has 100"):
        plan.reference.check(plan.measures[0].protocol, 16)


def test_reals_are_never_enlarged(planned: Planned) -> None:
    plan = planned(["frechet20"], ["full"])
    assert plan.reference
    with pytest.raises(UserError, match=r"data\.resolution=16: images of 32 px .* enlarged; take data\.resolution=32"):
        plan.reference.check(plan.measures[0].protocol, 32)
    with pytest.raises(UserError, match=r"drawn at 16 px and cannot be brought to 12 px"):
        plan.reference.check(plan.measures[0].protocol, 12)
