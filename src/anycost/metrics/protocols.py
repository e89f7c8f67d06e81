"""Metric protocols: named, fully specified measurements. A stored value always travels with its protocol."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from anycost.errors import UserError

KINDS = ("frechet", "kernel", "consistency")
CONSISTENCY_SAMPLES = 500
"""A mean distance per image settles far earlier than a distribution: more images would only cost time."""


@dataclass(frozen=True)
class MetricProtocol:
    """What exactly was measured.

    `frechet` and `kernel` compare the features of `samples` generated images (fewer reals where the data set is
    smaller: all of them, unflipped); `consistency` is the mean perceptual distance of an architecture's images to
    the full generator's, at the architecture's resolution. `seed` is the first of the `samples` seeds in a row.
    """

    kind: str
    features: str
    samples: int
    resize: str
    quantisation: Literal["uint8", "none"]
    noise: Literal["random", "fixed"]
    truncation: float = 1.0
    seed: int = 0
    dtype: str = "float32"
    statistics: str = "float64"

    @property
    def name(self) -> str:
        """For tables and log keys: `frechet5000_inception`."""
        return f"{self.kind}{self.samples}_{self.features}"

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + self.samples)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}

    @property
    def digest(self) -> str:
        """16 hex digits that change with any field."""
        return hashlib.blake2b(json.dumps(self.to_json(), sort_keys=True).encode(), digest_size=8).hexdigest()


_RESIZE = {
    "inception": "299 bilinear (TensorFlow 1)",
    "lpips": "at most 256 bilinear antialiased",
    "embedded": "none",
}


def in_training(kind: str, features: str, perceptual: str, samples: int) -> MetricProtocol:
    """The protocol behind `metrics.names=[kind]`; raises `UserError` for an unknown kind.

    Frechet distance takes the moments of all samples; kernel distance all pairs of them (`kernel_distance`).
    """
    if kind in ("frechet", "kernel"):
        return MetricProtocol(kind, features, samples, _RESIZE[features], "uint8", "random")
    if kind == "consistency":
        samples = min(samples, CONSISTENCY_SAMPLES)
        return MetricProtocol(kind, perceptual, samples, _RESIZE[perceptual], "none", "fixed")
    raise UserError(f"metrics.names={kind} is not one of {', '.join(KINDS)}")
