"""Distances between two sets of features: Frechet distance (FID's formula) and kernel distance (KID's).

Everything is float64: a covariance in float32 loses the digits that a small distance consists of.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class Moments:
    """Count, mean `[D]` and centred scatter `[D, D]` of a stream of feature vectors."""

    count: int
    mean: Array
    scatter: Array

    @staticmethod
    def empty(dimension: int) -> "Moments":
        return Moments(0, np.zeros(dimension), np.zeros((dimension, dimension)))

    @staticmethod
    def of(features: NDArray) -> "Moments":
        """Moments of `[N, D]` features of any float type."""
        features = np.asarray(features, dtype=np.float64)
        mean = features.mean(axis=0)
        centred = features - mean
        return Moments(len(features), mean, centred.T @ centred)

    def merged(self, other: "Moments") -> "Moments":
        """Moments of the union [Chan et al. 1979]: no subtraction of large sums, so no cancellation."""
        count = self.count + other.count
        if count == 0:
            return self
        gap = other.mean - self.mean
        mean = self.mean + gap * (other.count / count)
        scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.count * other.count / count)
        return Moments(count, mean, scatter)

    @property
    def covariance(self) -> Array:
        """Unbiased covariance `[D, D]`; needs two vectors."""
        return self.scatter / (self.count - 1)

    @property
    def is_deficient(self) -> bool:
        """Too few vectors for a covariance of full rank: Frechet distances are strongly biased upwards."""
        return self.count <= len(self.mean)


def frechet_distance(real: Moments, fake: Moments) -> float:
    """`|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))`.

    The trace of the root is the sum of the singular values of `C1^(1/2) C2^(1/2)`: unlike a matrix square
    root of the product it needs no rescue where the covariances are singular (few samples).
    """
    product = _root(real.covariance) @ _root(fake.covariance)
    cross = np.linalg.svd(product, compute_uv=False).sum()
    gap = real.mean - fake.mean
    return float(gap @ gap + np.trace(real.covariance) + np.trace(fake.covariance) - 2 * cross)


def _root(covariance: Array) -> Array:
    """Symmetric square root; eigenvalues that rounding made negative count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def kernel_distance(
    real: NDArray, fake: NDArray, subsets: int | None = None, subset_size: int = 1000, seed: int = 2020
) -> float:
    """Unbiased squared MMD of `[N, D]` features under KID's kernel `(x.y / D + 1)^3`; can fall below zero.

    `subsets=None` uses all pairs at once: the same expectation with the least variance. A number of subsets
    gives the published protocol: the mean over so many random subsets, drawn as torch-fidelity draws them.
    """
    real, fake = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    if subsets is None:
        return _squared_mmd(real, fake)
    rng = np.random.RandomState(seed)
    values = [
        _squared_mmd(_subset(rng, real, subset_size), _subset(rng, fake, subset_size)) for _ in range(subsets)
    ]
    return float(np.mean(values))


def _subset(rng: np.random.RandomState, features: Array, size: int) -> Array:
    return features[rng.choice(len(features), min(size, len(features)), replace=False)]


def _squared_mmd(first: Array, second: Array) -> float:
    """All pairs but those of a vector with itself."""
    within = 0.0
    for x in (first, second):
        within += (_kernel(x, x).sum() - _kernel_diagonal(x).sum()) / (len(x) * (len(x) - 1))
    return float(within - 2 * _kernel(first, second).mean())


def _kernel(first: Array, second: Array) -> Array:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _kernel_diagonal(features: Array) -> Array:
    return ((features**2).sum(axis=1) / features.shape[1] + 1) ** 3
