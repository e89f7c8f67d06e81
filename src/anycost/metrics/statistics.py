"""Distances between two sets of features: Frechet distance (FID's formula) and kernel distance (KID's).

Everything is float64: a covariance in float32 loses the digits that a small distance consists of.
"""

import numpy as np
from numpy.typing import NDArray

from anycost.metrics.states import Array, Moments


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
