"""Metrics in training: when, what is logged and recorded, and that a continued run measures the same."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from anycost.callbacks.metrics import MetricsCallback
from anycost.configuration.schema import MetricsConfig
from anycost.errors import UserError
from anycost.metrics import measures
from anycost.metrics.features import PooledFeatures
from anycost.metrics.records import read_measurements
from anycost.networks.perceptual import FeatureDistance, PerceptualDistance


class Pooling(nn.Module):
    """The embedded network's interface over average pooling."""

    identity, feature_dimension = "pooling", 12

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def features(self, x: Tensor) -> list[Tensor]:
        return [nn.functional.adaptive_avg_pool2d(x, 4) * self.scale]

    def pooled(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 2).flatten(1) * self.scale


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "feature_extractor", lambda name, device, resize: PooledFeatures(Pooling()))
    monkeypatch.setattr(measures, "perceptual_distance", lambda name: PerceptualDistance(FeatureDistance(Pooling())))


def config(**options: Any) -> MetricsConfig:
    defaults = {
        "names": ["frechet", "kernel", "consistency"],
        "features": "embedded",
        "perceptual": "embedded",
        "architectures": ["full", "0.5", "full@8"],
        "samples": 20,
        "every_kimg": 0.1,
        "batch_size": 8,
    }
    return MetricsConfig(**{**defaults, **options})


KEYS = [
    f"metrics/{name}20_embedded_{label}"
    for name in ("frechet", "kernel", "consistency")
    for label in ("full", "0.5", "full@8")
]


def test_values_are_logged_by_images_and_at_the_end(tmp_path: Path, train: Callable, stage: Any) -> None:
    train(MetricsCallback(config(), tmp_path / "metrics.jsonl", tmp_path), 256, end=True)
    assert [images for images, _ in stage.logged] == [128, 224, 256]
    for _, values in stage.logged:
        assert list(values) == KEYS
        assert values["metrics/consistency20_embedded_full"] == 0
        assert values["metrics/consistency20_embedded_0.5"] > 0
        assert values["metrics/frechet20_embedded_full"] > 0


def test_without_an_interval_only_the_end_is_measured(tmp_path: Path, train: Callable, stage: Any) -> None:
    train(MetricsCallback(config(every_kimg=None), tmp_path / "metrics.jsonl", tmp_path), 224, end=True)
    assert [images for images, _ in stage.logged] == [224]


def test_the_end_is_not_measured_twice(tmp_path: Path, train: Callable, stage: Any) -> None:
    train(MetricsCallback(config(), tmp_path / "metrics.jsonl", tmp_path), 128, end=True)
    assert [images for images, _ in stage.logged] == [128]


def test_a_record_travels_with_protocol_data_and_architecture(tmp_path: Path, train: Callable, stage: Any) -> None:
    train(MetricsCallback(config(), tmp_path / "metrics.jsonl", tmp_path), 128)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [f"metrics/{line['metric']}_{line['label']}" for line in lines] == KEYS
    assert {line["data"] for line in lines if line["protocol"]["kind"] != "consistency"} == {"noise-50-drawn16"}
    assert not any("weights" in line or "date" in line for line in lines)
    assert {line["images"] for line in lines} == {128}
    assert lines[0]["protocol"]["quantisation"] == "uint8"
    read = read_measurements(tmp_path / "metrics.jsonl")
    assert {one.key: one.value for one in read} == stage.logged[0][1]
    assert read[1].architecture == stage.space.uniform(0.5)
    assert read[0].protocol.name == "frechet20_embedded"


def test_a_continued_run_measures_the_same_and_keeps_no_doubles(tmp_path: Path, train: Callable, stage: Any) -> None:
    record = tmp_path / "metrics.jsonl"
    train(MetricsCallback(config(), record, tmp_path), 256, end=True)
    whole, text = list(stage.logged), record.read_text()
    stage.logged.clear()
    stage.clock.images = 160  # killed after 256, the newest checkpoint is of 160
    train(MetricsCallback(config(), record, tmp_path), 256, end=True)
    assert stage.logged == whole[1:]
    assert record.read_text() == text


def test_reals_are_drawn_once_over_all_resolutions_and_runs(
    tmp_path: Path, train: Callable, stage: Any, trainer: Any
) -> None:
    source, samples = trainer.datamodule.source, 20
    train(MetricsCallback(config(), tmp_path / "metrics.jsonl", tmp_path / "cache"), 256)
    assert source.drawn == samples  # once for both resolutions and both distances
    stage.clock.images = 0
    train(MetricsCallback(config(), tmp_path / "metrics.jsonl", tmp_path / "cache"), 128)
    assert source.drawn == samples
    stage.clock.images = 0
    trainer.datamodule.config.filter = "box"
    train(MetricsCallback(config(), tmp_path / "metrics.jsonl", tmp_path / "cache"), 128)
    assert source.drawn == 2 * samples


@pytest.mark.parametrize(("samples", "biased"), [(12, True), (13, False)])
def test_too_few_images_are_marked(tmp_path: Path, train: Callable, samples: int, biased: bool) -> None:
    train(MetricsCallback(config(samples=samples), tmp_path / "metrics.jsonl", tmp_path), 128)
    flags = {one.protocol.kind: one.biased for one in read_measurements(tmp_path / "metrics.jsonl")}
    assert flags == {"frechet": biased, "kernel": False, "consistency": False}


def test_one_line_says_what_came_out(tmp_path: Path, train: Callable, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    train(MetricsCallback(config(names=["consistency"]), tmp_path / "metrics.jsonl", tmp_path), 128)
    assert "kimg 0.128: consistency20_embedded full 0, 0.5 " in caplog.text


def test_other_processes_wait(tmp_path: Path, train: Callable, stage: Any, another_process: list) -> None:
    train(MetricsCallback(config(), tmp_path / "metrics.jsonl", tmp_path), 128)
    assert another_process == 3 * [[0.0, 0.0]]
    assert stage.logged == []
    assert not (tmp_path / "metrics.jsonl").exists()


def test_no_names_measure_nothing(tmp_path: Path, train: Callable, stage: Any) -> None:
    train(MetricsCallback(config(names=[]), tmp_path / "metrics.jsonl", tmp_path), 128, end=True)
    assert stage.logged == []


def test_an_unknown_name_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.names=fid"):
        MetricsCallback(config(names=["fid"]), tmp_path / "metrics.jsonl", tmp_path)
