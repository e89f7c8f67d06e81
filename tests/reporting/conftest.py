"""Folders as trainings, evaluations and searches leave them, made without training."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from anycost.architecture import ArchitectureSpace
from anycost.loggers.table import MetricsTable
from anycost.metrics.protocols import MetricProtocol
from anycost.metrics.records import Measurement, write_measurements
from anycost.metrics.table import protocols

SPACE = ArchitectureSpace(32, 0.125, 64, 3)
Values = Mapping[str, Mapping[int, float]]


def _measurement(
    label: str, images: int, value: float, protocol: str | MetricProtocol = "fd1k_embedded", **more: Any
) -> Measurement:
    """One value of the small generator; `data` is empty for consistency, as in records."""
    if isinstance(protocol, str):
        (protocol,) = protocols([protocol])
    more.setdefault("data", "" if protocol.reals == "none" else "faces-1")
    return Measurement(protocol, label, SPACE.parse(label), images=images, value=value, **more)


@pytest.fixture(scope="session")
def measurement() -> Callable[..., Measurement]:
    """`measurement("0.5@16", images, value, protocol="fd1k_embedded", part=..., data=..., ...)`."""
    return _measurement


@pytest.fixture(scope="session")
def space() -> ArchitectureSpace:
    """Of the generator that the folders are about."""
    return SPACE


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`make_run("one/ada_ch", {"full": {1000: 3.0}}, seed=1)`: a finished run's folder under the test's."""

    def make(
        name: str,
        values: Values | Sequence[Measurement] = (),
        seed: int = 0,
        stage: Mapping[str, Any] | None = None,
        init_from: str = "auto",
        images: int = 2000,
    ) -> Path:
        folder = tmp_path / name
        (folder / "grids").mkdir(parents=True)
        config = {
            "stage": {"name": "ada_ch", "mode": "uniform", **(stage or {})},
            "model": {"resolution": 32, "multiplier": 0.125, "channel_cap": 64, "latent_dim": 512, "mapping_layers": 8},
            "data": {"name": "faces"}, "trainer": {"precision": "32"}, "seed": seed, "run": folder.name,
            "init_from": init_from, "paths": {"logs": name},
        }  # fmt: skip
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        record = {"stage": "ada_ch", "data": "faces", "state": "finished", "images": images, "attempts": 1}
        (folder / "run.json").write_text(json.dumps(record))
        table = MetricsTable(folder / "metrics.csv")
        for count in (images // 2, images):
            table.put(count, {"train/d_loss": 1.0, "train/g_loss": count / 1000, "timing/sec_per_kimg": 12.5})
        Image.new("RGB", (60, 40), (200, 20, 20)).save(folder / "grids" / "kimg_000002.000.png")
        lines = flat(values) if isinstance(values, Mapping) else list(values)
        if lines:
            write_measurements(folder / "metrics.jsonl", lines)
        return folder

    return make


def flat(values: Values) -> list[Measurement]:
    """`{label: {images: value}}` as measurements, oldest first."""
    found = [_measurement(label, images, value) for label, own in values.items() for images, value in own.items()]
    return sorted(found, key=lambda one: one.images)
