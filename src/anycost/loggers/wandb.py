"""Weights & Biases: stable ids, the x-axis in images seen, and no value lost or doubled when a run is continued."""

import json
import logging
import netrc
import os
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from anycost import signals
from anycost.files import atomic_write
from anycost.loggers.table import Row

if TYPE_CHECKING:
    from wandb import Run
    from wandb.sdk.lib import RunDisabled

log = logging.getLogger(__name__)

ADDRESS = "wandb.json"
"""File of the run folder that says where the run is found there."""
REPLAYED_ROWS = 256
"""A kill can lose what wandb has not yet written: at most a block of 32 KiB, and a row takes 150 bytes or more."""
_SIGNAL_SEC = 2.0


@dataclass(frozen=True)
class WandbRun:
    """What a run is called there. `id` is the name of the run folder, so that a continued run stays one run.

    `name` is what people read; by default the id.
    """

    id: str
    project: str
    folder: Path
    entity: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None


class ImagesWandbLogger(WandbLogger):
    """Lightning's logger with `step` = images seen, written to the step of each row and to its column `images`.

    Offline, every attempt writes a file of its own. What is logged again after a kill carries the same step, so a
    reader that keeps the last row per step sees each step once.
    """

    def __init__(self, run: WandbRun, mode: str = "auto") -> None:
        super().__init__(
            name=run.name or run.id, id=run.id, project=run.project, save_dir=str(run.folder), entity=run.entity,
            group=run.group, job_type=run.job_type, tags=list(run.tags), config=dict(run.config),
            mode=resolved_mode(mode),
        )  # fmt: skip
        self.folder = run.folder

    @property
    @rank_zero_experiment
    def experiment(self) -> "Run | RunDisabled":
        """The wandb run, started at first use."""
        if self._experiment is None:
            import wandb

            try:
                self._experiment = wandb.init(**self._wandb_init, settings=wandb.Settings(console="off"))
            except Exception as error:
                if number := _signal_that_ended_it():
                    raise signals.Stopped(number) from error
                raise
            self._experiment.define_metric("images")
            self._experiment.define_metric("*", step_metric="images")
            _write_address(self._experiment, self.folder)
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log values at `step` = images seen.

        A step that the server already has is left out: W&B takes steps in ascending order only, and the values of
        a continued run are the same.
        """
        if step is None:
            raise ValueError("Weights & Biases needs the number of images seen as `step`")
        with _service_may_be_gone():
            if step >= self.experiment.step:
                self.experiment.log({"images": step, "kimg": step / 1000, **metrics}, step=step)

    @rank_zero_only
    def log_lines(
        self, key: str, columns: list[str], rows: list[list[Any]], x: str, y: str, series: str, step: int
    ) -> None:
        """A chart of lines `y` over `x`, one per value of the column `series`; its data is the table `<key>_table`."""
        import wandb

        table = wandb.Table(columns=[*columns], data=rows)
        self.log_metrics({key: wandb.plot.line(table, x, y, stroke=series, title=key.rpartition("/")[2])}, step)

    @rank_zero_only
    def summarise(self, values: Mapping[str, Any]) -> None:
        """Set entries of the run's summary, which the table of runs shows; nested ones as `best.kimg`."""
        with _service_may_be_gone():
            self.experiment.summary.update(dict(values))

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """The resolved configuration was given when the run started."""

    @rank_zero_only
    def replay(self, rows: Sequence[Row]) -> None:
        """Log the last of `rows` (metrics.csv up to the checkpoint) again: the killed attempt may have lost them."""
        for row in rows[-REPLAYED_ROWS:]:
            values = {name: value for name, value in row.items() if name not in ("images", "kimg")}
            self.log_metrics(values, int(row["images"]))

    @rank_zero_only
    def mark_stopped(self) -> None:
        """Call before `finalize("failed")` where a signal stopped the run: the page shows `preempted`, not `failed`."""
        if self._experiment is not None:
            with _service_may_be_gone():
                self._experiment.mark_preempting()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the wandb run: a pipeline's next stage is another one."""
        if self._experiment is not None:
            with _service_may_be_gone():
                self._experiment.finish(exit_code=0 if status == "success" else 1)


@contextmanager
def _service_may_be_gone() -> Iterator[None]:
    """Pass over what wandb cannot take any more after a signal that asks the run to stop.

    SLURM sends SIGTERM to all processes of a job, wandb's service among them, which ends at once; ours saves, and the
    next attempt replays what was lost.
    """
    try:
        yield
    except signals.Stopped:
        raise
    except Exception as error:
        if not _signal_that_ended_it():
            raise
        log.warning("Weights & Biases has ended already (%s); what it missed is logged again", type(error).__name__)


def _signal_that_ended_it() -> int:
    """The signal after which wandb's service is gone, or 0; the service may get it a moment earlier."""
    end = time.monotonic() + _SIGNAL_SEC
    while not signals.received() and time.monotonic() < end:
        time.sleep(0.05)
    return signals.received()


def _write_address(run: "Run | RunDisabled", folder: Path) -> None:
    """Say in `folder` what the run is called, so that other commands find it without asking; offline it has no URL."""
    if run.disabled:
        return
    address = {
        "id": run.id,
        "project": run.project,
        "entity": run.entity or None,
        "url": None if run.offline else run.url,
        "mode": "offline" if run.offline else "online",
    }
    with atomic_write(folder / ADDRESS, "w") as file:
        json.dump(address, file, indent=2)


def resolved_mode(mode: str) -> str:
    """`online` or `offline`; `auto` follows $WANDB_MODE, else is online where an account is configured."""
    if mode != "auto":
        return mode
    return os.environ.get("WANDB_MODE") or ("online" if _has_account() else "offline")


def _has_account() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
