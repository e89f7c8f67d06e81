"""Measured values with everything that they depend on: the lines of metrics.jsonl and records.jsonl."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anycost import __version__
from anycost.architecture import Architecture
from anycost.files import atomic_write
from anycost.metrics.protocols import MetricProtocol


@dataclass(frozen=True)
class Measurement:
    """One value: what was measured (`protocol`), of which architecture, against which data, of which weights.

    Attributes:
        label: the architecture's short name.
        data: identity of the real images (data set, filter, padding); empty where none are needed.
        images: how many images the weights had been trained on.
        biased: a Frechet distance of fewer images than feature dimensions: to be compared with its like only.
        part: of a protocol with several values (`precision`, `recall`, `mean`, `std`, the name of an attribute).
        weights: identity of the weights file; empty for those that are being trained.
        date: ISO 8601, UTC; empty in training, so that a resumed run's lines equal those of an uninterrupted one.
        version: of the package; empty in lines older than this field.
        error: standard error of the value, where it is a mean over images.
        network: identity of the network that judged; empty in lines older than this field.
    """

    protocol: MetricProtocol
    label: str
    architecture: Architecture
    data: str
    images: int
    value: float
    biased: bool = False
    part: str = ""
    weights: str = ""
    date: str = ""
    version: str = __version__
    error: float | None = None
    network: str = ""

    @property
    def metric(self) -> str:
        """The protocol's name with the part: `pr50k3_full_recall`."""
        return f"{self.protocol.name}_{self.part}" if self.part else self.protocol.name

    @property
    def key(self) -> str:
        """Under which loggers know the value: `metrics/frechet5000_inception_0.5`."""
        return f"metrics/{self.metric}_{self.label}"

    def to_json(self) -> dict[str, Any]:
        optional = {
            "part": self.part, "weights": self.weights, "date": self.date, "version": self.version,
            "error": self.error, "network": self.network,
        }  # fmt: skip
        return {
            "images": self.images,
            "metric": self.protocol.name,
            "label": self.label,
            "value": self.value,
            "biased": self.biased,
            "protocol": self.protocol.to_json(),
            "architecture": self.architecture.to_json(),
            "data": self.data,
            **{name: value for name, value in optional.items() if value not in ("", None)},
        }

    @staticmethod
    def from_json(entry: dict[str, Any]) -> "Measurement":
        return Measurement(
            protocol=MetricProtocol.from_json(entry["protocol"]),
            label=entry["label"],
            architecture=Architecture.from_json(entry["architecture"]),
            data=entry["data"],
            images=entry["images"],
            value=entry["value"],
            biased=entry["biased"],
            part=entry.get("part", ""),
            weights=entry.get("weights", ""),
            date=entry.get("date", ""),
            version=entry.get("version", ""),
            error=entry.get("error"),
            network=entry.get("network", ""),
        )


def read_measurements(path: Path) -> list[Measurement]:
    """All measurements of a file, oldest first; none where there is no file."""
    if not path.is_file():
        return []
    return [Measurement.from_json(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def write_measurements(path: Path, measurements: Sequence[Measurement]) -> None:
    """Write the whole file anew."""
    with atomic_write(path, "w") as file:
        file.writelines(json.dumps(measurement.to_json()) + "\n" for measurement in measurements)


def add_measurements(path: Path, new: Sequence[Measurement]) -> None:
    """Append measurements taken at one image count; those of this count or later, by a killed attempt, go."""
    earlier = [old for old in read_measurements(path) if old.images < new[0].images]
    write_measurements(path, [*earlier, *new])
