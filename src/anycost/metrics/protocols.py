"""Metric protocols: named, fully specified measurements. A stored value always travels with its protocol."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from anycost.errors import UserError

KINDS = (
    "frechet", "kernel", "precision_recall", "inception_score", "path_length", "consistency", "attributes",
)  # fmt: skip
TRAINING_KINDS = ("frechet", "kernel", "consistency")
CONSISTENCY_SAMPLES = 500
"""A mean distance per image settles far earlier than a distribution: more images would only cost time."""

TENSORFLOW_299 = "299 bilinear (TensorFlow 1)"
TENSORFLOW_224 = "224 bilinear (TensorFlow 1)"
PYTORCH_299 = "299 bilinear (PyTorch, not antialiased)"
PERCEPTUAL_256 = "at most 256 bilinear antialiased"
BOX_256 = "at most 256 box average"
ALIGNED_256 = "256 bilinear (corners aligned)"
UNRESIZED = "none"


@dataclass(frozen=True)
class MetricProtocol:
    """What exactly was measured. Every field is part of `digest`; those that a kind does not use are None or empty.

    Attributes:
        name: unique; part of log keys and records.
        kind: `frechet`, `kernel`, `precision_recall` compare features of generated and of real images;
            `inception_score` looks at generated ones alone; `path_length` at the ends of short ways through W;
            `consistency` and `attributes` at an architecture beside the full generator.
        features: the network that judges: `inception`, `vgg16`, `lpips`, `attribute_predictor`, `embedded`.
        samples: how many images are generated; pairs of them for `path_length`.
        reals: `none`, `all` (unflipped), a count that is needed, or `<=N`: all of them, N at most.
        resize: how images reach the network's size.
        quantisation: `uint8`, generated images are clamped and rounded as if saved; `none`, they are clamped.
        noise: `random`, drawn by the seed of the image; `const`, the generator's own maps, the same for all images.
        truncation: psi of the style, towards the mean of 10 000 styles.
        seed: the first of the `samples` seeds in a row.
        dtype: of the generator and of the network that judges; TF32 is off.
        statistics: of all that is summed or compared after the network.
        target: what `consistency` and `attributes` compare an architecture's image with.
        subsets: of `kernel`: mean over so many random subsets; None: all pairs at once.
        subset_size: images of a subset, at most.
        neighbours: k of `precision_recall`: a ball around each image reaches to its k-th nearest neighbour.
        splits: of `inception_score`: contiguous parts of the images.
        epsilon: of `path_length`: the part of the way between two styles that the second image has moved.
        percentiles: of `path_length`: distances outside these are dropped.
    """

    name: str
    kind: str
    features: str
    samples: int
    reals: str
    resize: str
    quantisation: Literal["uint8", "none"]
    noise: Literal["random", "const"]
    truncation: float = 1.0
    seed: int = 0
    dtype: str = "float32"
    statistics: str = "float64"
    target: str = ""
    subsets: int | None = None
    subset_size: int | None = None
    neighbours: int | None = None
    splits: int | None = None
    epsilon: float | None = None
    percentiles: tuple[float, float] | None = None

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + self.samples)

    def real_count(self, available: int) -> int:
        """How many of `available` real images are measured; `UserError` where they are too few."""
        if self.reals == "none":
            return 0
        count = available
        if self.reals.startswith("<="):
            count = min(available, int(self.reals[2:]))
        elif self.reals != "all":
            count = int(self.reals)
        needed = count if self.reals.isdigit() else max(2, (self.neighbours or 0) + 1)
        if available < needed:
            raise UserError(
                f"metrics={self.name} needs {needed} real images, the data set has {available}; "
                f"use more of them, or a metric of fewer: {self._smaller()}"
            )
        return count

    def _smaller(self) -> str:
        if self.reals.isdigit() and self.kind == "frechet":
            return "fid50k_full takes all there are, fd1k_embedded 1000 at most"
        return "lpips_consistency and consistency_embedded need none"

    def to_json(self) -> dict[str, Any]:
        """Fields that are not used are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None and value != ""}

    @staticmethod
    def from_json(entry: dict[str, Any]) -> "MetricProtocol":
        """Reads `to_json`, and the lines of before there were evaluations, which said less."""
        if "reals" not in entry:
            kind, samples = entry["kind"], entry["samples"]
            return in_training(kind, entry["features"], entry["features"], samples)
        fields = dict(entry)
        if "percentiles" in fields:
            fields["percentiles"] = tuple(fields["percentiles"])
        return MetricProtocol(**fields)

    @property
    def digest(self) -> str:
        """16 hex digits that change with any field."""
        return hashlib.blake2b(json.dumps(self.to_json(), sort_keys=True).encode(), digest_size=8).hexdigest()


def in_training(
    kind: str, features: str, perceptual: str, samples: int, filter: str = "bilinear", imitates: bool = False
) -> MetricProtocol:
    """The protocol behind `metrics.names=[kind]`; raises `UserError` for an unknown kind.

    Its name says what it is: `frechet5000_inception`. Frechet distance takes the moments of all samples, kernel
    distance all pairs of them, of `samples` real images at most. `filter` is the data pyramid's. With `imitates`,
    consistency is that of another generator with the wide one that it imitates: `wide_consistency500_lpips`.
    """
    if kind in ("frechet", "kernel"):
        resize = TENSORFLOW_299 if features == "inception" else UNRESIZED
        return MetricProtocol(
            f"{kind}{samples}_{features}", kind, features, samples, f"<={samples}", resize, "uint8", "random"
        )
    if kind == "consistency":
        samples = min(samples, CONSISTENCY_SAMPLES)
        name = f"{'wide_' if imitates else ''}{kind}{samples}_{perceptual}"
        return MetricProtocol(
            name, kind, perceptual, samples, "none", PERCEPTUAL_256, "none", "const",
            target=full_image(filter, "wide" if imitates else "full"),
        )  # fmt: skip
    raise UserError(f"metrics.names={kind} is not one of {', '.join(TRAINING_KINDS)}")


def full_image(filter: str, generator: str = "full") -> str:
    """The target of consistency [Anycost, Eq. 5]: the names of the filters are those of the data pyramid."""
    resize = f"{filter} antialiased" if filter == "bilinear" else filter
    return f"{generator} generator's image, same latent and noise, at the architecture's resolution by {resize}"
