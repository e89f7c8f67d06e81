"""`anycost train`, the same as `python train.py`: compose the configuration, find the run's folder, train.

    anycost train stage=ada_ch data=ffhq     one run; the same command continues it
    anycost train -m seed=0,1,2              several runs, one after the other
    anycost train --cfg job                  print the configuration instead of training
    anycost train --help                     the groups and their options

A further process of a run (DDP) starts as `python -m anycost.commands.train --resolved RUN_DIR/config.yaml`:
without Hydra, so that it has the configuration of its run whatever the first process was called with.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from anycost.configuration.paths import config_groups
from anycost.configuration.schema import TrainConfig
from anycost.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Train what the arguments say; the exit status is 0, or an exception is raised."""
    if "--help" in arguments or "-h" in arguments:
        print(_usage())
    elif arguments[:1] == ["--resolved"]:
        _train_resolved(arguments[1:])
    else:
        from anycost.configuration.composition import run_composed

        run_composed(arguments, train)
    return 0


def train(config: TrainConfig, run_dir: Path) -> None:
    """Train in `run_dir`; heavy imports happen here, after the configuration has been checked."""
    from anycost.training import run

    run(config, run_dir)


def _train_resolved(arguments: Sequence[str]) -> None:
    from anycost.configuration.convert import load_config

    if len(arguments) != 1 or not (file := Path(arguments[0])).is_file():
        raise UserError("--resolved takes the config.yaml of a run folder and nothing else")
    train(load_config(file), file.parent)


def _usage() -> str:
    groups = "\n".join(f"  {group:<12}{', '.join(options)}" for group, options in config_groups().items())
    return f"{__doc__}\nGroups and their options (group=option; `anycost options` lists the keys inside):\n{groups}"


if __name__ == "__main__":
    from anycost.commands import main as command_line

    sys.exit(command_line(["train", *sys.argv[1:]]))
