"""One job of a sweep in this process: `python -m anycost.commands.train --job SWEEP INDEX`."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from anycost.configuration.convert import load_config
from anycost.configuration.schema import TrainConfig
from anycost.errors import UserError
from anycost.processes import stop_with_parent
from anycost.sweeps.record import read_sweep


def read_job(arguments: Sequence[str]) -> tuple[TrainConfig, Path]:
    """The checked configuration and the folder of the run that `SWEEP INDEX` mean."""
    if len(arguments) != 2 or not arguments[1].isdecimal():
        raise UserError("--job takes the folder of a sweep and the index of one of its jobs")
    sweep = read_sweep(arguments[0])
    folder = sweep.run_dir(sweep.job(int(arguments[1])))
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder} has no config.yaml; the command of the sweep, started again, writes it")
    return load_config(folder / "config.yaml"), folder


def begin_job(run_dir: Path) -> None:
    """Log as a run under Hydra does: to the output, and by the first process into train.log; stop with a local pool."""
    stop_with_parent()
    output = logging.StreamHandler()
    output.setFormatter(logging.Formatter("%(message)s"))
    handlers: list[logging.Handler] = [output]
    first = os.environ.get("SLURM_PROCID", "0") == "0"
    if first:
        file = logging.FileHandler(run_dir / "train.log")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    logging.basicConfig(level=logging.INFO if first else logging.WARNING, handlers=handlers)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
