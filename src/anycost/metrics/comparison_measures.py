"""Measures that compare pairs of images: path length, consistency of architectures, agreement on attributes."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from anycost.metrics.batches import Batch, Target
from anycost.metrics.features import full_precision
from anycost.metrics.measure import Measure
from anycost.metrics.protocols import ALIGNED_256, MetricProtocol
from anycost.metrics.states import Agreements, Rows
from anycost.metrics.statistics import filtered
from anycost.networks.attributes import AttributePredictor
from anycost.networks.perceptual import FeatureDistance, PerceptualDistance
from anycost.networks.published import VGG16

LPIPS_IDENTITY = f"lpips-vgg16-{VGG16.sha256_prefix}"
_LARGEST = 256
_KEPT_BYTES = 512 * 2**20  # features of the full generator's images above this are made anew for each architecture


class DistancesMeasure(Measure):
    """A mean of perceptual distances, one float64 for each image or pair."""

    def __init__(self, protocol: MetricProtocol, perceptual: PerceptualDistance) -> None:
        super().__init__(protocol)
        self.perceptual = perceptual

    @property
    def network(self) -> str:
        judge = self.perceptual.network
        return f"embedded-{judge.network.identity}" if isinstance(judge, FeatureDistance) else LPIPS_IDENTITY

    def empty(self) -> Rows:
        return Rows((), np.float64)

    def values(self, state: Rows, reals: Any = None) -> dict[str, float]:
        kept = self.kept(state.ordered())
        return {"": float(kept.mean())} if len(kept) else {}

    def error(self, state: Rows) -> float | None:
        kept = self.kept(state.ordered())
        return float(kept.std(ddof=1) / len(kept) ** 0.5) if len(kept) > 1 else None

    def kept(self, distances: np.ndarray) -> np.ndarray:
        """Those that the mean is of."""
        return distances

    @torch.no_grad()
    def _add(self, state: Rows, batch: Batch, index: int, count: int) -> None:
        with full_precision(batch.images.device.type):
            distances = self._distances(batch)
        state.add(index, distances.double().cpu().numpy()[:count])

    def _distances(self, batch: Batch) -> Tensor:
        raise NotImplementedError


class PathLengthMeasure(DistancesMeasure):
    """Perceptual distance of a short way through W, over its length squared [Karras et al. 2019].

    The ends are `w1` and `lerp(w1, w2, epsilon)` with the same noise. Images are clamped; those above 256 px are
    averaged down in squares.
    """

    def _distances(self, batch: Batch) -> Tensor:
        assert batch.second is not None
        assert self.protocol.epsilon
        first, second = (_box(images.float().clamp(-1, 1)) for images in (batch.images, batch.second))
        return self.perceptual(first, second).double() / self.protocol.epsilon**2

    def kept(self, distances: np.ndarray) -> np.ndarray:
        return filtered(distances, *self.protocol.percentiles) if self.protocol.percentiles else distances


def _box(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, images.shape[-1] // _LARGEST) if images.shape[-1] > _LARGEST else images


class ConsistencyMeasure(DistancesMeasure):
    """Perceptual distance to the full generator's image of the same latent and noise [Anycost, Eq. 5].

    Both at the architecture's resolution, or at 256 where that is higher.
    """

    needs_target = True

    def _distances(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        return self.perceptual.between(self.perceptual.features(batch.images.float()),
                                       self._target(batch.target, batch.images.shape[-1]))  # fmt: skip

    def _target(self, target: Target, side: int) -> list[Tensor]:
        def features() -> list[Tensor]:
            return self.perceptual.features(target.at(side).float())

        return target.computed((id(self.perceptual), side), features, _KEPT_BYTES)


class AttributesMeasure(Measure):
    """On how many images an architecture has the attributes that the full generator gives, in per cent [Anycost].

    Values: the mean over attributes, and each attribute's own under its name.
    """

    needs_target = True

    def __init__(self, protocol: MetricProtocol, predictor: AttributePredictor) -> None:
        super().__init__(protocol)
        self.predictor = predictor

    @property
    def network(self) -> str:
        return self.predictor.identity

    def empty(self) -> Agreements:
        return Agreements.empty(len(self.predictor.names))

    @torch.no_grad()
    def _add(self, state: Agreements, batch: Batch, index: int, count: int) -> None:
        target = batch.target
        assert target is not None
        expected = target.computed((id(self.predictor), self.protocol.resize), lambda: [self._answers(target.images)])
        same = self._answers(batch.images) == expected[0]
        state.add(same.cpu().numpy()[:count])

    def _answers(self, images: Tensor) -> Tensor:
        images = images.float().clamp(-1, 1)
        if self.protocol.resize == ALIGNED_256:
            images = F.interpolate(images, size=(_LARGEST, _LARGEST), mode="bilinear", align_corners=True)
        with full_precision(images.device.type):
            return self.predictor.answers(images)

    def values(self, state: Agreements, reals: Any = None) -> dict[str, float]:
        if not state.count:
            return {}
        shares = 100 * state.agreed / state.count
        return {"": float(shares.mean()), **dict(zip(self.predictor.names, shares.tolist(), strict=True))}
