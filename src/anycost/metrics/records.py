"""Measured values with everything that they depend on: the lines of a run's metrics.jsonl."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anycost.architecture import Architecture
from anycost.files import atomic_write
from anycost.metrics.protocols import MetricProtocol


@dataclass(frozen=True)
class Measurement:
    """One value: what was measured (`protocol`), of which architecture, against which data, after how many images.

    `biased` marks a Frechet distance of fewer images than feature dimensions: to be compared with its like only.
    """

    protocol: MetricProtocol
    label: str
    architecture: Architecture
    data: str
    images: int
    value: float
    biased: bool = False

    @property
    def key(self) -> str:
        """Under which loggers know the value: `metrics/frechet5000_inception_0.5`."""
        return f"metrics/{self.protocol.name}_{self.label}"

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "metric": self.protocol.name,
            "label": self.label,
            "value": self.value,
            "biased": self.biased,
            "protocol": self.protocol.to_json(),
            "architecture": self.architecture.to_json(),
            "data": self.data,
        }

    @staticmethod
    def from_json(entry: dict[str, Any]) -> "Measurement":
        protocol = {name: value for name, value in entry["protocol"].items() if name != "name"}
        return Measurement(
            MetricProtocol(**protocol),
            entry["label"],
            Architecture.from_json(entry["architecture"]),
            entry["data"],
            entry["images"],
            entry["value"],
            entry["biased"],
        )


def read_measurements(path: Path) -> list[Measurement]:
    """All measurements of a metrics.jsonl, oldest first; none where there is no file."""
    if not path.is_file():
        return []
    return [Measurement.from_json(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def add_measurements(path: Path, new: Sequence[Measurement]) -> None:
    """Append measurements taken at one image count; those of this count or later, by a killed attempt, go."""
    earlier = [old for old in read_measurements(path) if old.images < new[0].images]
    with atomic_write(path, "w") as file:
        file.writelines(json.dumps(measurement.to_json()) + "\n" for measurement in [*earlier, *new])
