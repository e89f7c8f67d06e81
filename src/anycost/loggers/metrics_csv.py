"""The default logger: one append-only metrics.csv in the run folder.

Lightning's own CSVLogger deletes the file of a folder that exists already, and writes only every hundred steps.
"""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from anycost.loggers.table import MetricsTable


class MetricsCsvLogger(Logger):
    """Writes `metrics.csv` in `folder`: one row per image count, columns `images`, `kimg`, then what is logged."""

    def __init__(self, folder: Path | str) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._table: MetricsTable | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def version(self) -> str:
        return ""

    @property
    def root_dir(self) -> str:
        return str(self.folder)

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    @property
    def path(self) -> Path:
        return self.folder / "metrics.csv"

    @property
    def table(self) -> MetricsTable:
        """The file; opening it repairs a torn last line."""
        if self._table is None:
            self._table = MetricsTable(self.path)
        return self._table

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at `step` = images seen."""
        if step is None:
            raise ValueError("metrics.csv needs the number of images seen as `step`")
        self.table.put(step, {name: float(value) for name, value in metrics.items()})

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """The run folder's config.yaml holds them."""

    @rank_zero_only
    def truncate(self, images: int) -> None:
        """Drop the rows beyond `images`, the count of the checkpoint that training continues from."""
        self.table.truncate(images)

    @rank_zero_only
    def save(self) -> None:
        """Wait until all rows are on the disk."""
        if self._table is not None:
            self._table.sync()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
