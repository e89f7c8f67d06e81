"""Measures: a protocol together with the networks that judge, as something that accumulates batch by batch.

    measures = build_measures(protocols(["fid50k_full", "pr50k3_full"]), device)
    state, reals = measure.empty(), measure.real_empty()
    measure.add(state, Batch(images), index)            # as often as there are batches; changes the state
    measure.add_reals(reals, Batch(uint8), index)       # likewise, where it needs_reals
    measure.values(state, reals)                        # {"": 12.3} or {"precision": 0.7, "recall": 0.4}
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from anycost.metrics.batches import Batch
from anycost.metrics.features import FeatureExtractor, feature_extractor
from anycost.metrics.protocols import MetricProtocol
from anycost.metrics.states import Moments, Rows, State
from anycost.metrics.statistics import frechet_distance, kernel_distance


@dataclass(frozen=True)
class Sampling:
    """How images are made. Measures of equal sampling share one pass; `pairs` come from `metrics.path.path_ends`."""

    noise: str
    truncation: float
    seed: int
    pairs: bool


class Measure(ABC):
    """One metric. Samples beyond the protocol's count are ignored, so that measures of other counts can share a pass.

    Attributes:
        needs_target: `Batch.target` must be given.
        needs_reals: `values` needs the state of the real images.
    """

    needs_target: ClassVar[bool] = False
    needs_reals: ClassVar[bool] = False

    def __init__(self, protocol: MetricProtocol) -> None:
        self.protocol = protocol

    @property
    def sampling(self) -> Sampling:
        protocol = self.protocol
        return Sampling(protocol.noise, protocol.truncation, protocol.seed, protocol.kind == "path_length")

    @abstractmethod
    def empty(self) -> State:
        """The state of no image."""

    def add(self, state: Any, batch: Batch, index: int) -> None:
        """Take in the generated images `index, index + 1, ...`, in place.

        Raises `UserError` with the sample's index where an image or its features are not finite.
        """
        batch.check(index)
        count = min(len(batch), self.protocol.samples - index)
        if count > 0:
            self._add(state, batch, index, count)

    @abstractmethod
    def _add(self, state: Any, batch: Batch, index: int, count: int) -> None:
        """The first `count` images of the batch."""

    def real_empty(self) -> State | None:
        """What real images accumulate into; None where none are needed."""
        return None

    def add_reals(self, state: Any, batch: Batch, index: int) -> None:
        """Take in the real images `index, index + 1, ...`, in place."""
        raise NotImplementedError(f"{self.protocol.name} needs no real images")

    @property
    def real_key(self) -> dict[str, str] | None:
        """What the state of the reals depends on besides the data: equal keys share one state."""
        return None

    @abstractmethod
    def values(self, state: Any, reals: Any = None) -> dict[str, float]:
        """The value of each part, of as many images as there are; empty while they are too few for one."""

    def is_biased(self, state: Any, reals: Any = None) -> bool:
        """Whether there are too few images for the value to be compared with one of more images."""
        return False

    def error(self, state: Any) -> float | None:
        """Standard error of the value; None where it is not a mean over images."""
        return None


class FeatureMeasure(Measure):
    """What compares the features of generated images with those of real ones."""

    needs_reals = True
    kept: ClassVar[str]  # "moments" or "features"

    def __init__(self, protocol: MetricProtocol, extractor: FeatureExtractor) -> None:
        super().__init__(protocol)
        self.extractor = extractor

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


class Networks:
    """The networks that judge, each loaded once on `device`, whatever number of measures asks for it."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = device
        self._extractors: dict[tuple[str, str], FeatureExtractor] = {}

    def extractor(self, protocol: MetricProtocol) -> FeatureExtractor:
        """The feature extractor of a protocol that compares features."""
        key = (protocol.features, protocol.resize)
        if key not in self._extractors:
            self._extractors[key] = feature_extractor(protocol.features, self.device, protocol.resize)
        return self._extractors[key]


def build_measures(protocols: Sequence[MetricProtocol], device: torch.device | str = "cpu") -> list[Measure]:
    """One measure for each protocol, in their order, on networks loaded once.

    Raises `UserError` with file, address, place, hash and offline choice where published weights cannot be had.
    """
    networks = Networks(device)
    return [_build(protocol, networks) for protocol in protocols]


def _build(protocol: MetricProtocol, networks: Networks) -> Measure:
    match protocol.kind:
        case "frechet":
            return FrechetMeasure(protocol, networks.extractor(protocol))
        case "kernel":
            return KernelMeasure(protocol, networks.extractor(protocol))
    raise AssertionError(f"no measure of kind {protocol.kind}")
