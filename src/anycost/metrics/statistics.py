"""Statistics behind the metrics, in float64: from states and features to numbers.

A covariance in float32 loses the digits that a small distance consists of.
"""

import numpy as np
from numpy.typing import NDArray

from anycost.metrics.states import Array, ClassShares, Moments

_BLOCK_ENTRIES = 2**22  # of a kernel matrix: 32 MiB


def frechet_distance(real: Moments, fake: Moments) -> float:
    """`|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2))`.

    The trace of the root is the sum of the singular values of `C1^(1/2) C2^(1/2)`: unlike a matrix square
    root of the product it needs no rescue where the covariances are singular (few samples).
    """
    cross = np.linalg.svd(real.root @ fake.root, compute_uv=False).sum()
    gap = real.mean - fake.mean
    return float(gap @ gap + np.trace(real.covariance) + np.trace(fake.covariance) - 2 * cross)


def kernel_distance(
    real: NDArray, fake: NDArray, subsets: int | None = None, subset_size: int = 1000, seed: int = 2020
) -> float:
    """Unbiased squared MMD of `[N, D]` features under KID's kernel `(x.y / D + 1)^3`; can fall below zero.

    `subsets=None` uses all pairs at once: the same expectation with the least variance. A number of subsets
    gives the published protocol: the mean over so many random subsets, drawn as torch-fidelity draws them.
    """
    if subsets is None:
        return _squared_mmd(real, fake)
    rng = np.random.RandomState(seed)
    values = [
        _squared_mmd(_subset(rng, real, subset_size), _subset(rng, fake, subset_size)) for _ in range(subsets)
    ]
    return float(np.mean(values))


def _subset(rng: np.random.RandomState, features: NDArray, size: int) -> NDArray:
    return features[rng.choice(len(features), min(size, len(features)), replace=False)]


def _squared_mmd(first: NDArray, second: NDArray) -> float:
    """All pairs but those of a vector with itself."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    within = 0.0
    for x in (first, second):
        within += (_kernel_sum(x, x) - _kernel_diagonal(x).sum()) / (len(x) * (len(x) - 1))
    return float(within - 2 * _kernel_sum(first, second) / (len(first) * len(second)))


def _kernel_sum(first: Array, second: Array) -> float:
    """Over all pairs, in blocks of rows: memory does not grow with their number."""
    rows = max(_BLOCK_ENTRIES // len(second), 1)
    blocks = (first[start : start + rows] for start in range(0, len(first), rows))
    return sum(float(((block @ second.T / first.shape[1] + 1) ** 3).sum()) for block in blocks)


def _kernel_diagonal(features: Array) -> Array:
    return ((features**2).sum(axis=1) / features.shape[1] + 1) ** 3


def inception_score(state: ClassShares) -> tuple[float, float]:
    """Mean and standard deviation over splits of `exp(E KL(p(c | x) || p(c)))`; splits without images do not count."""
    counted = state.counts > 0
    counts, shares = state.counts[counted], state.shares[counted]
    marginal = shares / counts[:, None]
    logarithms = np.log(marginal, where=marginal > 0, out=np.zeros_like(marginal))
    divergence = state.negative_entropy[counted] / counts - (marginal * logarithms).sum(axis=1)
    scores = np.exp(divergence)
    return float(scores.mean()), float(scores.std())


def filtered(distances: Array, low: float, high: float) -> Array:
    """Those of `[N]` distances between two percentiles, both included, each taken at the outer of its neighbours."""
    if not len(distances):
        return distances
    least, most = (np.percentile(distances, low, method="lower"), np.percentile(distances, high, method="higher"))
    return distances[(distances >= least) & (distances <= most)]
