"""What loggers with tables and charts get beside the logged values: prices, records, curves, `best` and `last`."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from anycost.callbacks.after_step import AfterStep
from anycost.metrics.records import read_measurements
from anycost.pricing.price_list import PriceList
from anycost.reporting.dashboard import (
    PRICE_COLUMNS,
    RECORD_COLUMNS,
    best_and_last,
    curve_rows,
    price_rows,
    record_rows,
)


class DashboardCallback(AfterStep):
    """Logs the price table when training starts, and the measurements of `record` after each of them.

    The tables are made from metrics.jsonl, so those of a continued run are whole. Stands behind `MetricsCallback`.
    Nothing happens where no logger takes tables (Weights & Biases does).
    """

    def __init__(self, record: Path, architectures: list[str]) -> None:
        self.record, self.architectures = record, architectures
        self.logged_at: int | None = None

    def on_train_start(self, trainer: pl.Trainer, stage: Any) -> None:
        texts = self.architectures
        architectures = {label: one for text in texts for label, one in stage.space.parse_all(text).items()}
        for logger in _with_tables(trainer):
            rows = price_rows(architectures, _prices(stage))
            logger.log_table("prices", columns=PRICE_COLUMNS, data=rows, step=stage.clock.images)

    def on_train_batch_end(self, trainer: pl.Trainer, stage: Any, *unused: Any) -> None:
        if stage.measured:
            self.show(trainer, stage)

    def on_train_end(self, trainer: pl.Trainer, stage: Any) -> None:
        if stage.measured and self.logged_at != stage.clock.images:
            self.show(trainer, stage)

    def show(self, trainer: pl.Trainer, stage: Any) -> None:
        """Log all measurements up to the present instant."""
        self.logged_at = stage.clock.images
        loggers = _with_tables(trainer)
        measurements = read_measurements(self.record) if loggers else []
        if not measurements:
            return
        rows, curves = record_rows(measurements, _prices(stage)), curve_rows(measurements)
        for logger in loggers:
            logger.log_table("records", columns=RECORD_COLUMNS, data=rows, step=self.logged_at)
            for metric, points in curves.items():
                columns = ["architecture", "kimg", metric]
                logger.log_lines(f"curves/{metric}", columns, points, "kimg", metric, "architecture", self.logged_at)
            logger.summarise(best_and_last(measurements))


def _with_tables(trainer: pl.Trainer) -> list[Any]:
    return [one for one in trainer.loggers if hasattr(one, "log_lines")] if trainer.is_global_zero else []


def _prices(stage: Any) -> PriceList:
    generator = stage.evaluation_generator()
    return PriceList(stage.space, generator.latent_dim, len(generator.mapping.layers))
