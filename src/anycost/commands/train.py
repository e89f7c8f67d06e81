"""`anycost train`, the same as `python train.py`: compose the configuration, find the run's folder, train.

    anycost train stage=ada_ch data=ffhq     one run; the same command continues it
    anycost train -m seed=0,1,2              several runs, one after the other
    anycost train --cfg job                  print the configuration instead of training
    anycost train --help                     the groups and their options

A further process of a run (DDP) starts as `python -m anycost.commands.train --resolved RUN_DIR/config.yaml`:
without Hydra, so that it has the configuration of its run whatever the first process was called with. A job of a sweep
starts as `--job SWEEP_DIR INDEX`, likewise with the configuration that lies in its run folder.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anycost import signals
from anycost.errors import UserError

if TYPE_CHECKING:
    from anycost.configuration.schema import TrainConfig


def main(arguments: Sequence[str]) -> int:
    """Train what the arguments say; the exit status is 0, or an exception is raised.

    Signals are remembered before anything else is imported: whenever one comes, it is heeded and kills nothing.
    """
    with signals.remembered():
        _main(arguments)
        signals.heed()
    return 0


def _main(arguments: Sequence[str]) -> None:
    if "--help" in arguments or "-h" in arguments:
        print(_usage())
    elif arguments[:1] == ["--resolved"]:
        _train_resolved(arguments[1:])
    elif arguments[:1] == ["--job"]:
        _train_job(arguments[1:])
    else:
        from anycost.configuration.composition import run_composed

        run_composed(arguments, train)


def train(config: "TrainConfig", run_dir: Path) -> None:
    """Train in `run_dir`; heavy imports happen here, after the configuration has been checked."""
    from anycost.training import run

    run(config, run_dir)


def _train_resolved(arguments: Sequence[str]) -> None:
    from anycost.configuration.convert import load_config

    if len(arguments) != 1 or not (file := Path(arguments[0])).is_file():
        raise UserError("--resolved takes the config.yaml of a run folder and nothing else")
    train(load_config(file), file.parent)


def _train_job(arguments: Sequence[str]) -> None:
    from anycost.sweeps.job import begin_job, read_job

    config, run_dir = read_job(arguments)
    begin_job(run_dir)
    train(config, run_dir)


def _usage() -> str:
    from anycost.configuration.paths import config_groups

    groups = "\n".join(f"  {group:<12}{', '.join(options)}" for group, options in config_groups().items())
    return f"{__doc__}\nGroups and their options (group=option; `anycost options` lists the keys inside):\n{groups}"


if __name__ == "__main__":
    from anycost.commands import main as command_line

    sys.exit(command_line(["train", *sys.argv[1:]]))
