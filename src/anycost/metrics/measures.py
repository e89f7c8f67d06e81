"""Measures by protocol, on networks that are loaded once.

    measures = build_measures(protocols(["fid50k_full", "pr50k3_full"]), device)
    state, reals = measure.empty(), measure.real_empty()
    measure.add(state, Batch(images), index)            # as often as there are batches; changes the state
    measure.add_reals(reals, Batch(uint8), index)       # likewise, where it needs_reals
    measure.values(state, reals)                        # {"": 12.3} or {"precision": 0.7, "recall": 0.4}
"""

from collections.abc import Sequence
from typing import cast

import torch

from anycost.errors import UserError
from anycost.metrics.batches import Batch, Target
from anycost.metrics.comparison_measures import AttributesMeasure, ConsistencyMeasure, PathLengthMeasure
from anycost.metrics.feature_measures import (
    FrechetMeasure,
    InceptionScoreMeasure,
    KernelMeasure,
    PrecisionRecallMeasure,
)
from anycost.metrics.features import FeatureExtractor, InceptionFeatures, feature_extractor
from anycost.metrics.measure import Measure, Sampling
from anycost.metrics.protocols import MetricProtocol
from anycost.metrics.states import State
from anycost.metrics.table import offline_names
from anycost.networks.attributes import AttributePredictor, attribute_predictor
from anycost.networks.perceptual import PerceptualDistance, perceptual_distance
from anycost.networks.published import MissingWeights

__all__ = ["Batch", "Measure", "Networks", "Sampling", "State", "Target", "build_measures"]


class Networks:
    """The networks that judge, each loaded once on `device`, whatever number of measures asks for it."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = device
        self._extractors: dict[tuple[str, str], FeatureExtractor] = {}
        self._perceptual: dict[str, PerceptualDistance] = {}
        self._predictors: dict[str, AttributePredictor] = {}

    def extractor(self, protocol: MetricProtocol) -> FeatureExtractor:
        """The features that the protocol compares; Inception's two ways of resizing share one network."""
        key = (protocol.features, protocol.resize)
        if key not in self._extractors:
            loaded = [one for one in self._extractors.values() if isinstance(one, InceptionFeatures)]
            if protocol.features == "inception" and loaded:
                self._extractors[key] = InceptionFeatures(self.device, protocol.resize, loaded[0].network)
            else:
                self._extractors[key] = feature_extractor(protocol.features, self.device, protocol.resize)
        return self._extractors[key]

    def perceptual(self, name: str) -> PerceptualDistance:
        """The distance called `lpips` or `embedded`."""
        if name not in self._perceptual:
            self._perceptual[name] = perceptual_distance(name).to(self.device)
        return self._perceptual[name]

    def predictor(self, name: str) -> AttributePredictor:
        """The predictor called `attribute_predictor` or `embedded`."""
        if name not in self._predictors:
            self._predictors[name] = attribute_predictor(name, self.device)
        return self._predictors[name]


def build_measures(
    protocols: Sequence[MetricProtocol], device: torch.device | str = "cpu", networks: Networks | None = None
) -> list[Measure]:
    """One measure for each protocol, in their order, on networks loaded once.

    Raises `UserError` with file, address, place, hash and offline choice where published weights cannot be had.
    """
    networks = networks or Networks(device)
    return [_explained(protocol, networks) for protocol in protocols]


def _explained(protocol: MetricProtocol, networks: Networks) -> Measure:
    try:
        return _build(protocol, networks)
    except MissingWeights as error:
        names = offline_names(protocol)
        offline = f"metrics={','.join(names)}" if names else "another metric (no offline one is of this kind)"
        raise UserError(f"metrics={protocol.name}: {error.advising(offline)}") from error


def _build(protocol: MetricProtocol, networks: Networks) -> Measure:
    match protocol.kind:
        case "frechet":
            return FrechetMeasure(protocol, networks.extractor(protocol))
        case "kernel":
            return KernelMeasure(protocol, networks.extractor(protocol))
        case "precision_recall":
            return PrecisionRecallMeasure(protocol, networks.extractor(protocol), networks.device)
        case "inception_score":
            return InceptionScoreMeasure(protocol, cast(InceptionFeatures, networks.extractor(protocol)))
        case "path_length":
            return PathLengthMeasure(protocol, networks.perceptual(protocol.features))
        case "consistency":
            return ConsistencyMeasure(protocol, networks.perceptual(protocol.features))
        case "attributes":
            return AttributesMeasure(protocol, networks.predictor(protocol.features))
    raise AssertionError(f"no measure of kind {protocol.kind}")
