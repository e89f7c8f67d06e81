"""Metrics in training: distances to the real images and consistency, at the architectures of the configuration."""

import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from anycost.architecture import Architecture
from anycost.configuration.schema import MetricsConfig
from anycost.data.pyramid import downsample
from anycost.metrics.consistency import consistency
from anycost.metrics.distribution import FeatureSet, distance, generated_features, is_biased, real_features
from anycost.metrics.features import FeatureExtractor, feature_extractor
from anycost.metrics.protocols import MetricProtocol, in_training
from anycost.metrics.records import Measurement, add_measurements
from anycost.networks.perceptual import PerceptualDistance, perceptual_distance

log = logging.getLogger(__name__)


class MetricsCallback(pl.Callback):
    """Measures every `config.every_kimg` thousand images and at the end, on the first process; the others wait.

    Values are logged as `metrics/<protocol>_<architecture>`; `record` (metrics.jsonl) keeps them with all that they
    depend on; `cache` keeps the features of the real images.
    """

    def __init__(self, config: MetricsConfig, record: Path, cache: Path) -> None:
        self.config, self.record, self.cache = config, record, cache
        self.protocols = [
            in_training(name, config.features, config.perceptual, config.samples) for name in config.names
        ]
        self.measured_at: int | None = None
        self._extractor: FeatureExtractor | None = None
        self._perceptual: PerceptualDistance | None = None
        self._reals: dict[int, FeatureSet] = {}

    def on_fit_start(self, trainer: pl.Trainer, stage: Any) -> None:
        """Load the networks that judge: weights that cannot be had are an error now, not after hours."""
        if not trainer.is_global_zero:
            return
        if any(protocol.kind != "consistency" for protocol in self.protocols):
            self._extractor = feature_extractor(self.config.features, stage.device)
        if any(protocol.kind == "consistency" for protocol in self.protocols):
            self._perceptual = perceptual_distance(self.config.perceptual).to(stage.device)

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        if self.config.every_kimg and stage.clock.crossed(self.config.every_kimg):
            self.measure(trainer, stage)

    def on_train_end(self, trainer: pl.Trainer, stage: Any) -> None:
        if self.measured_at != stage.clock.images:
            self.measure(trainer, stage)

    def measure(self, trainer: pl.Trainer, stage: Any) -> None:
        """Take all measurements of the present instant."""
        if not self.protocols:
            return
        self.measured_at = stage.clock.images
        if trainer.is_global_zero:
            started = time.monotonic()
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            measurements = [one for protocol in self.protocols for one in self._measure(protocol, stage, data)]
            add_measurements(self.record, measurements)
            stage.log_values({one.key: one.value for one in measurements})
            log.info("%s", _line(measurements, time.monotonic() - started))
        trainer.strategy.barrier()

    def _measure(self, protocol: MetricProtocol, stage: Any, data: Any) -> list[Measurement]:
        texts = self.config.architectures
        architectures = {label: one for text in texts for label, one in stage.space.parse_all(text).items()}
        if protocol.kind == "consistency":
            values = [(value, False) for value in self._consistencies(protocol, stage, [*architectures.values()])]
        else:
            values = [self._distance(protocol, stage, data, one) for one in architectures.values()]
        fingerprint = data.source.fingerprint()
        return [
            Measurement(protocol, label, architecture, fingerprint, stage.clock.images, value, biased)
            for (label, architecture), (value, biased) in zip(architectures.items(), values, strict=True)
        ]

    def _consistencies(
        self, protocol: MetricProtocol, stage: Any, architectures: list[Architecture]
    ) -> list[float]:
        assert self._perceptual is not None
        resize = partial(downsample, filter=stage.config.data.filter)
        generator = stage.evaluation_generator()
        return consistency(generator, architectures, protocol, self._perceptual, self.config.batch_size, resize)

    def _distance(
        self, protocol: MetricProtocol, stage: Any, data: Any, architecture: Architecture
    ) -> tuple[float, bool]:
        assert self._extractor is not None
        reals = self._real_features(data, architecture.resolution)
        generator = stage.evaluation_generator()
        fakes = generated_features(generator, architecture, protocol, self._extractor, self.config.batch_size)
        return distance(protocol, reals, fakes), is_biased(protocol, reals, fakes)

    def _real_features(self, data: Any, resolution: int) -> FeatureSet:
        if resolution not in self._reals:
            assert self._extractor is not None
            count = min(self.config.samples, len(data.source))
            key = {
                "data": data.source.fingerprint(),
                "resolution": resolution,
                "full_resolution": data.config.resolution,
                "filter": data.config.filter,
                "padding": data.config.padding,
                "count": count,
            }

            def batches() -> Any:
                log.info("measuring %d real images at %d px (kept for later runs)", count, resolution)
                return data.real_images(resolution, count, self.config.batch_size)

            self._reals[resolution] = real_features(batches, self._extractor, key, self.cache)
        return self._reals[resolution]


def _line(measurements: list[Measurement], seconds: float) -> str:
    """`kimg 12.0: frechet2000_embedded full 12.3, 0.5 14.1; consistency500_embedded ... (8 s)`."""
    parts: dict[str, list[str]] = {}
    for one in measurements:
        parts.setdefault(one.protocol.name, []).append(f"{one.label} {one.value:.4g}")
    text = "; ".join(f"{name} {', '.join(values)}" for name, values in parts.items())
    return f"kimg {measurements[0].images / 1000:g}: {text} ({seconds:.0f} s)"
