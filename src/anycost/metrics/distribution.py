"""Distances between the distribution of a generator and that of real images."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from anycost.architecture import Architecture
from anycost.files import atomic_write
from anycost.metrics.features import FeatureExtractor
from anycost.metrics.protocols import MetricProtocol
from anycost.metrics.statistics import Moments, frechet_distance, kernel_distance
from anycost.networks.generator import Generator
from anycost.sampling import from_uint8, sample, to_uint8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureSet:
    """Features float32 `[N, D]` of N images, and their moments in float64."""

    features: NDArray[np.float32]
    moments: Moments

    @staticmethod
    def of(batches: Iterable[Tensor], extractor: FeatureExtractor) -> "FeatureSet":
        """From batches of images `[B, 3, r, r]`, uint8, or float in [-1, 1] that is then rounded to uint8."""
        parts, moments = [], Moments.empty(extractor.dimension)
        for images in batches:
            saved = images if not images.is_floating_point() else to_uint8(images)
            features = extractor(from_uint8(saved)).cpu().numpy()
            parts.append(features)
            moments = moments.merged(Moments.of(features))
        return FeatureSet(np.concatenate(parts), moments)


def generated_features(
    generator: Generator,
    architecture: Architecture,
    protocol: MetricProtocol,
    extractor: FeatureExtractor,
    batch_size: int,
) -> FeatureSet:
    """Features of the protocol's samples of one architecture."""
    records = sample(
        generator, architecture, protocol.seeds, batch_size, noise=protocol.noise, truncation=protocol.truncation
    )
    return FeatureSet.of((record.images for record in records), extractor)


def real_features(
    batches: Callable[[], Iterable[Tensor]], extractor: FeatureExtractor, key: dict[str, Any], cache: Path
) -> FeatureSet:
    """Features of real images, computed once per data set and measurement.

    `batches()` yields uint8 `[B, 3, r, r]`; `key` names everything that the pictures depend on (fingerprint,
    resolution, filter, count). The file appears whole or not at all; one that cannot be read is made again.
    """
    text = json.dumps({**key, "features": extractor.identity}, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    path = cache.expanduser() / "statistics" / f"{extractor.name}-{digest}.npz"
    if path.is_file():
        try:
            return _load(path)
        except (BadZipFile, OSError, ValueError, KeyError, EOFError) as error:
            log.warning("%s cannot be read (%s): the real images are measured again", path, error)
    made = FeatureSet.of(batches(), extractor)
    moments = made.moments
    with atomic_write(path) as file:
        np.savez(
            file, features=made.features, mean=moments.mean, scatter=moments.scatter, count=moments.count, key=text
        )
    return made


def _load(path: Path) -> FeatureSet:
    with np.load(path, allow_pickle=False) as stored:
        moments = Moments(int(stored["count"]), stored["mean"], stored["scatter"])
        return FeatureSet(stored["features"], moments)


def distance(protocol: MetricProtocol, real: FeatureSet, fake: FeatureSet) -> float:
    """The Frechet or kernel distance that the protocol asks for."""
    if protocol.kind == "frechet":
        return frechet_distance(real.moments, fake.moments)
    return kernel_distance(real.features, fake.features)


def is_biased(protocol: MetricProtocol, real: FeatureSet, fake: FeatureSet) -> bool:
    """Whether there are too few images for the value to be compared with one of more images."""
    return protocol.kind == "frechet" and (real.moments.is_deficient or fake.moments.is_deficient)
