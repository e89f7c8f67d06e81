"""Hydra, wrapped: arguments in, one call of a function per run out, every error a single clear message."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from anycost.configuration.arguments import protect_paths, without_plus
from anycost.configuration.convert import to_train_config
from anycost.configuration.explain import explain
from anycost.configuration.identity import decides_identity, multirun_name, safe_name
from anycost.configuration.paths import config_groups, config_home
from anycost.configuration.schema import TrainConfig
from anycost.configuration.store import register
from anycost.errors import UserError


def compose(*arguments: str) -> TrainConfig:
    """The configuration that `anycost train ARGUMENTS` would train with; for notebooks, benchmarks and tests."""
    register()
    with _explained(), hydra.initialize_config_dir(_conf(), version_base="1.3"):
        return to_train_config(hydra.compose("train", hydra_arguments(arguments)))


def run_composed(arguments: Sequence[str], task: Callable[[TrainConfig, Path], object]) -> None:
    """Compose `conf/train.yaml` with the arguments; call `task(config, run_dir)` once, or per row of a multirun.

    Hydra's own flags work too (`--cfg job` prints and calls nothing). Raises `UserError`; the other rows of a
    multirun still run when one of them fails with one.
    """
    job = _Task(task)
    register()
    with _explained(), _command_line(hydra_arguments(arguments)):
        try:
            hydra.main(version_base="1.3", config_path=_conf(), config_name="train")(job)()
        except (OSError, ValueError) as error:  # logging wraps the one into the other
            cause = error if isinstance(error, OSError) else error.__cause__
            if job.at_work or not isinstance(cause, OSError) or cause.filename is None:
                raise
            raise UserError(
                f"cannot write {cause.filename}: {cause.strerror}; choose another place with paths.logs"
            ) from error
    if job.failures:
        raise UserError("\nerror: ".join(map(str, job.failures)))


class _Task:
    """What Hydra calls for every run: the configuration as plain objects, and errors of one that others outlive."""

    def __init__(self, task: Callable[[TrainConfig, Path], object]) -> None:
        self.task = task
        self.failures: list[UserError] | None = []
        self.at_work: list[Path] = []

    def __call__(self, composed: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)
        self.at_work.append(folder)
        try:
            self.task(to_train_config(composed), folder)
        except UserError as error:
            if self.failures is None:
                raise
            self.failures.append(error)
        self.at_work.remove(folder)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "failures": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a job of submitit: it composes there, without our resolvers, and hands errors back by raising them."""
        vars(self).update(state)
        register()


def _conf() -> str:
    return str(config_home() / "conf")


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what is wrong with the configuration into a `UserError`; let other errors pass."""
    try:
        yield
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        raise explained from None


def hydra_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra shall see them: file names protected, and for `-m` the folders of the sweep.

    `-m` may stand anywhere; Hydra itself wants no overrides on both sides of it.
    """
    sweep = "-m" in arguments or "--multirun" in arguments
    plain = [text for text in arguments if text not in ("-m", "--multirun")]
    overrides = without_plus(protect_paths(plain, sweep), list(config_groups()))
    if not sweep and any(text.startswith("hydra/launcher=") for text in overrides):
        raise UserError("hydra/launcher hands out the runs of a multirun: add -m, also for a single run")
    if not sweep:
        return overrides
    overrides = [_after_the_row(text) for text in overrides]
    if printing := {"--cfg", "-c", "--info", "-i"}.intersection(overrides):
        raise UserError(f"{printing.pop()} prints one configuration: leave -m out and give one value or row, "
                        "for example experiments=TABLE/ROW")
    return ["-m", *overrides, *_sweep_folders(overrides)]


def _after_the_row(override: str) -> str:
    """`debug=` where it still beats the experiment: a row of a table is appended behind all of `conf/train.yaml`."""
    return override.replace("debug=", "+debug@_global_=", 1) if override.startswith("debug=") else override


def _sweep_folders(arguments: Sequence[str]) -> list[str]:
    """Overrides that name the folder of a multirun and those of its runs."""
    overrides = [text for text in arguments if "=" in text and not text.startswith(("-", "hydra"))]
    parsed = OverridesParser.create().parse_overrides(overrides)
    swept = [override.get_key_element() for override in parsed if override.is_sweep_override()]
    plain = {override.key_or_group: override.value() for override in parsed if not override.is_sweep_override()}
    decisive = [str(override.input_line) for override in parsed
                if override.is_sweep_override() or decides_identity(override.key_or_group)]
    label = str(plain.get("experiments") or "sweep")
    name = safe_name(str(plain["run"])) if plain.get("run") else multirun_name(label, decisive)
    keys = ",".join(f'"{key}"' for key in swept)
    return [
        f"hydra.sweep.dir='${{paths.logs}}/train/multiruns/{name}'",
        f"hydra.sweep.subdir='${{sweep_run_name:[{keys}]}}'",
    ]


@contextmanager
def _command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads `sys.argv`; with HYDRA_FULL_ERROR it raises what it would otherwise print before exiting."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error
