"""Metrics in training: distances to the real images and consistency, at the architectures of the configuration."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from anycost.callbacks.after_step import AfterStep, Pulse
from anycost.configuration.schema import MetricsConfig
from anycost.data.pyramid import downsample
from anycost.evaluation.evaluate import evaluate_in_memory
from anycost.evaluation.planning import Plan
from anycost.evaluation.reference import Reference
from anycost.evaluation.subjects import GeneratorSubject
from anycost.metrics.measure import Measure
from anycost.metrics.measures import build_measures
from anycost.metrics.protocols import in_training
from anycost.metrics.records import Measurement, add_measurements

log = logging.getLogger(__name__)


class MetricsCallback(AfterStep):
    """Measures every `config.every_kimg` thousand images and at the end, on the first process; a signal interrupts.

    Values are logged as `metrics/<protocol>_<architecture>`; `record` (metrics.jsonl) keeps them with all that they
    depend on; `cache` keeps statistics of the real images.
    """

    def __init__(self, config: MetricsConfig, record: Path, cache: Path) -> None:
        self.config, self.record, self.cache = config, record, cache
        for name in config.names:
            in_training(name, config.features, config.perceptual, config.samples)  # an unknown one is an error now
        self.measured_at: int | None = None
        self._measures: Sequence[Measure] = ()
        self._reference: Reference | None = None

    def on_fit_start(self, trainer: pl.Trainer, stage: Any) -> None:
        """Load the networks that judge: weights that cannot be had are an error now, not after hours."""
        if not trainer.is_global_zero:
            return
        config, data = self.config, trainer.datamodule  # type: ignore[attr-defined]
        filter, imitates = stage.config.data.filter, stage.imitated_generator() is not None
        protocols = [
            in_training(name, config.features, config.perceptual, config.samples, filter, imitates)
            for name in config.names
        ]
        self._measures = build_measures(protocols, stage.device)
        self._reference = Reference(data.source, data.config, self.cache, stage.device)

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        if self.config.every_kimg and stage.clock.crossed(self.config.every_kimg):
            self.measure(trainer, stage)

    def on_train_end(self, trainer: pl.Trainer, stage: Any) -> None:
        if self.measured_at != stage.clock.images:
            self.measure(trainer, stage)

    def measure(self, trainer: pl.Trainer, stage: Any) -> None:
        """Take all measurements of the present instant."""
        if not self.config.names:
            return
        self.measured_at = stage.clock.images
        self.by_first_process(trainer, stage, lambda pulse: self._record(stage, pulse))

    def _record(self, stage: Any, pulse: Pulse) -> None:
        started = time.monotonic()
        measurements = self._measure(stage, pulse)
        add_measurements(self.record, measurements)
        stage.log_values({one.key: one.value for one in measurements})
        log.info("%s", _line(measurements, time.monotonic() - started))

    def _measure(self, stage: Any, pulse: Pulse) -> list[Measurement]:
        """Metric by metric, in the order of the configuration."""
        reference = self._reference
        assert reference is not None
        texts = self.config.architectures
        architectures = {label: one for text in texts for label, one in stage.space.parse_all(text).items()}
        resize = partial(downsample, filter=stage.config.data.filter)
        subject = GeneratorSubject(
            stage.evaluation_generator(), "the generator in training", "", stage.clock.images, architectures, resize,
            stage.imitated_generator(),
        )  # fmt: skip
        plan = Plan(subject, self._measures, reference, reference.identity, self.config.batch_size)
        order = [measure.protocol.name for measure in self._measures]
        return sorted(evaluate_in_memory(plan, pulse), key=lambda one: order.index(one.protocol.name))


def _line(measurements: list[Measurement], seconds: float) -> str:
    """`kimg 12.0: frechet2000_embedded full 12.3, 0.5 14.1; consistency500_embedded ... (8 s)`."""
    parts: dict[str, list[str]] = {}
    for one in measurements:
        parts.setdefault(one.protocol.name, []).append(f"{one.label} {one.value:.4g}")
    text = "; ".join(f"{name} {', '.join(values)}" for name, values in parts.items())
    return f"kimg {measurements[0].images / 1000:g}: {text} ({seconds:.0f} s)"
