"""Measures of features: Frechet and kernel distance, precision and recall, inception score."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from anycost.metrics.batches import Batch
from anycost.metrics.features import FeatureExtractor, InceptionFeatures
from anycost.metrics.measure import Measure
from anycost.metrics.neighbours import precision_recall
from anycost.metrics.protocols import MetricProtocol
from anycost.metrics.states import ClassShares, Moments, Rows, State
from anycost.metrics.statistics import frechet_distance, inception_score, kernel_distance


class FeatureMeasure(Measure):
    """What compares the features of generated images with those of real ones."""

    needs_reals = True
    kept: ClassVar[str]  # "moments" or "features"

    def __init__(self, protocol: MetricProtocol, extractor: FeatureExtractor) -> None:
        super().__init__(protocol)
        self.extractor = extractor

    @property
    def network(self) -> str:
        return self.extractor.identity

    @property
    def real_key(self) -> dict[str, str]:
        return {"features": self.extractor.identity, "kept": self.kept}

    def real_empty(self) -> State:
        return self.empty()

    def add_reals(self, state: Any, batch: Batch, index: int) -> None:
        self._take(state, index, self._features(batch, index))

    def _add(self, state: Any, batch: Batch, index: int, count: int) -> None:
        self._take(state, index, self._features(batch, index)[:count])

    def _features(self, batch: Batch, index: int) -> NDArray[np.float32]:
        return batch.features(self.extractor, self.protocol.quantisation, index)

    @abstractmethod
    def _take(self, state: Any, index: int, features: NDArray[np.float32]) -> None: ...


class FrechetMeasure(FeatureMeasure):
    """Frechet distance of two Gaussians fitted to the features [Heusel et al. 2017]."""

    kept = "moments"

    def empty(self) -> Moments:
        return Moments.empty(self.extractor.dimension)

    def _take(self, state: Moments, index: int, features: NDArray[np.float32]) -> None:
        state.add(features)

    def values(self, state: Moments, reals: Moments | None = None) -> dict[str, float]:
        assert reals is not None
        return {"": frechet_distance(reals, state)} if min(state.count, reals.count) > 1 else {}

    def is_biased(self, state: Moments, reals: Moments | None = None) -> bool:
        assert reals is not None
        return state.is_deficient or reals.is_deficient


class RowsMeasure(FeatureMeasure):
    """What needs all features themselves, in float32."""

    kept = "features"

    def empty(self) -> Rows:
        return Rows((self.extractor.dimension,), np.float32)

    def _take(self, state: Rows, index: int, features: NDArray[np.float32]) -> None:
        state.add(index, features)


class KernelMeasure(RowsMeasure):
    """Squared maximum mean discrepancy [Binkowski et al. 2018]: unbiased, can fall below zero."""

    def values(self, state: Rows, reals: Rows | None = None) -> dict[str, float]:
        assert reals is not None
        if min(state.count, reals.count) < 2:
            return {}
        subsets, size = self.protocol.subsets, self.protocol.subset_size or 1000
        return {"": kernel_distance(reals.ordered(), state.ordered(), subsets, size)}


class PrecisionRecallMeasure(RowsMeasure):
    """Shares of fakes among the reals and of reals among the fakes [Kynkaanniemi et al. 2019]."""

    def __init__(self, protocol: MetricProtocol, extractor: FeatureExtractor, device: torch.device | str) -> None:
        super().__init__(protocol, extractor)
        self.device = device

    def values(self, state: Rows, reals: Rows | None = None) -> dict[str, float]:
        assert reals is not None
        neighbours = self.protocol.neighbours or 3
        if min(state.count, reals.count) <= neighbours:
            return {}
        precision, recall = precision_recall(reals.ordered(), state.ordered(), neighbours, self.device)
        return {"precision": precision, "recall": recall}


class InceptionScoreMeasure(Measure):
    """How sure the classifier is of each image, and how many classes there are [Salimans et al. 2016]."""

    def __init__(self, protocol: MetricProtocol, extractor: InceptionFeatures) -> None:
        super().__init__(protocol)
        self.extractor, self.splits = extractor, protocol.splits or 10

    @property
    def network(self) -> str:
        return self.extractor.identity

    def empty(self) -> ClassShares:
        return ClassShares.empty(self.splits, self.extractor.classes)

    def _add(self, state: ClassShares, batch: Batch, index: int, count: int) -> None:
        features = batch.features(self.extractor, self.protocol.quantisation, index)[:count]
        logits = self.extractor.logits(torch.from_numpy(features)).cpu().numpy()
        # Split i holds the samples from i N // splits on: the inverse, in whole numbers.
        splits = ((np.arange(index, index + count) + 1) * self.splits - 1) // self.protocol.samples
        state.add(splits, logits)

    def values(self, state: ClassShares, reals: Any = None) -> dict[str, float]:
        if not state.count:
            return {}
        mean, spread = inception_score(state)
        return {"mean": mean, "std": spread}
