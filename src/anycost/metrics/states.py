"""What measures accumulate: float64 sums, or rows kept by the index of their image. Mergeable, and storable as arrays.

Rows and counts merge to the same state in any order; moments do so up to the rounding of float64, so that whoever
needs the same bits merges in a fixed order. `arrays` and `from_arrays` round trip to the bit.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]


class State(ABC):
    """A partial result over some of the images; empty at first."""

    count: int

    @abstractmethod
    def merged(self, other: Self) -> Self:
        """The state over the images of both, which share none; neither is changed."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """All that it holds, for an npz file."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The state that gave these arrays."""


@dataclass
class Moments(State):
    """Count, mean `[D]` and centred scatter `[D, D]` of a stream of feature vectors."""

    count: int
    mean: Array
    scatter: Array
    _root: Array | None = field(default=None, init=False, repr=False, compare=False)

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

    def add(self, features: NDArray) -> None:
        """Take in `[N, D]` more, in place: as `merged`, but with one product and no further matrix."""
        features = np.asarray(features, dtype=np.float64)
        own_mean, number = features.mean(axis=0), len(features)
        count, gap = self.count + number, own_mean - self.mean
        between = gap * (self.count * number / count) ** 0.5
        rows = np.concatenate([features - own_mean, between[None]])
        self.scatter += rows.T @ rows
        self.mean = self.mean + gap * (number / count)
        self.count, self._root = count, None

    def merged(self, other: "Moments") -> "Moments":
        """Moments of the union [Chan et al. 1979]: no subtraction of large sums, so no cancellation."""
        count = self.count + other.count
        if count == 0:
            return Moments.empty(len(self.mean))
        gap = other.mean - self.mean
        mean = self.mean + gap * (other.count / count)
        scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.count * other.count / count)
        return Moments(count, mean, scatter)

    @property
    def covariance(self) -> Array:
        """Unbiased covariance `[D, D]`; needs two vectors."""
        return self.scatter / (self.count - 1)

    @property
    def root(self) -> Array:
        """Symmetric square root of the covariance; eigenvalues that rounding made negative count as zero.

        Kept: the real images' is wanted for every architecture.
        """
        if self._root is None:
            values, vectors = np.linalg.eigh(self.covariance)
            self._root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
        return self._root

    @property
    def is_deficient(self) -> bool:
        """Too few vectors for a covariance of full rank: Frechet distances are strongly biased upwards."""
        return self.count <= len(self.mean)

    def arrays(self) -> Arrays:
        return {"count": np.array(self.count), "mean": self.mean, "scatter": self.scatter}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Moments":
        return cls(int(arrays["count"]), np.array(arrays["mean"]), np.array(arrays["scatter"]))


class Rows(State):
    """One row for each image, in whatever order they came: features float32 `[D]`, or a distance float64 `[]`."""

    def __init__(self, shape: tuple[int, ...], dtype: type) -> None:
        self._indices: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        self._rows: list[NDArray[Any]] = [np.empty((0, *shape), dtype=dtype)]

    @property
    def count(self) -> int:  # type: ignore[override]
        return sum(map(len, self._rows))

    def add(self, index: int, rows: NDArray) -> None:
        """Take in the rows of the images `index, index + 1, ...`, in place."""
        self._indices.append(np.arange(index, index + len(rows), dtype=np.int64))
        self._rows.append(np.ascontiguousarray(rows, dtype=self._rows[0].dtype))

    def ordered(self) -> NDArray[Any]:
        """All rows `[N, ...]`, by the index of their image: the same for any order of additions and merges."""
        return self.arrays()["rows"]

    def merged(self, other: "Rows") -> "Rows":
        union = Rows(self._rows[0].shape[1:], self._rows[0].dtype.type)
        union._indices = [*self._indices, *other._indices]
        union._rows = [*self._rows, *other._rows]
        return union

    def arrays(self) -> Arrays:
        """`indices [N]` in rising order and their `rows`."""
        self._join()
        return {"indices": self._indices[0], "rows": self._rows[0]}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Rows":
        state = cls(arrays["rows"].shape[1:], arrays["rows"].dtype.type)
        state._indices, state._rows = [np.array(arrays["indices"])], [np.array(arrays["rows"])]
        return state

    def _join(self) -> None:
        if len(self._rows) == 1:
            return
        indices, rows = np.concatenate(self._indices), np.concatenate(self._rows)
        steps = np.diff(indices)
        if (steps <= 0).any():
            order = np.argsort(indices, kind="stable")
            indices, rows = indices[order], rows[order]
            assert (np.diff(indices) > 0).all(), "an image was measured twice"
        self._indices, self._rows = [indices], [rows]


@dataclass
class ClassShares(State):
    """Sums over each of S contiguous splits of the images, for the inception score of C classes.

    Attributes:
        counts: images of each split `[S]`.
        shares: sum of the class probabilities `[S, C]`.
        negative_entropy: sum of `sum_c p log p` `[S]`.
    """

    counts: NDArray[np.int64]
    shares: Array
    negative_entropy: Array

    @staticmethod
    def empty(splits: int, classes: int) -> "ClassShares":
        return ClassShares(np.zeros(splits, dtype=np.int64), np.zeros((splits, classes)), np.zeros(splits))

    @property
    def count(self) -> int:  # type: ignore[override]
        return int(self.counts.sum())

    def add(self, splits: NDArray[np.int64], logits: NDArray) -> None:
        """Take in images of the given `splits` `[N]` with `logits` `[N, C]`, in place."""
        logits = np.asarray(logits, dtype=np.float64)
        logits = logits - logits.max(axis=1, keepdims=True)
        logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        probabilities = np.exp(logarithms)
        np.add.at(self.counts, splits, 1)
        np.add.at(self.shares, splits, probabilities)
        np.add.at(self.negative_entropy, splits, (probabilities * logarithms).sum(axis=1))

    def merged(self, other: "ClassShares") -> "ClassShares":
        return ClassShares(
            self.counts + other.counts,
            self.shares + other.shares,
            self.negative_entropy + other.negative_entropy,
        )

    def arrays(self) -> Arrays:
        return {"counts": self.counts, "shares": self.shares, "negative_entropy": self.negative_entropy}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "ClassShares":
        return cls(*(np.array(arrays[name]) for name in ("counts", "shares", "negative_entropy")))


@dataclass
class Agreements(State):
    """On how many of `count` images two answers agree, for each question `[A]`."""

    count: int
    agreed: NDArray[np.int64]

    @staticmethod
    def empty(questions: int) -> "Agreements":
        return Agreements(0, np.zeros(questions, dtype=np.int64))

    def add(self, same: NDArray[np.bool_]) -> None:
        """Take in `[N, A]` comparisons, in place."""
        self.count += len(same)
        self.agreed = self.agreed + same.sum(axis=0)

    def merged(self, other: "Agreements") -> "Agreements":
        return Agreements(self.count + other.count, self.agreed + other.agreed)

    def arrays(self) -> Arrays:
        return {"count": np.array(self.count), "agreed": self.agreed}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Agreements":
        return cls(int(arrays["count"]), np.array(arrays["agreed"]))
