"""Which folder a command owns: a hash of everything that decides what is computed (design decision 12).

`identity=False` in the schema marks what may change when a run continues: loggers, callbacks, metrics, folders,
lengths, and how the machine is used. Whatever a multirun sweeps is in the hash nevertheless.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import count
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from anycost.configuration.convert import resolved, to_train_config
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import STAGES
from anycost.errors import UserError


def run_name(config: TrainConfig, swept: Sequence[str] = ()) -> str:
    """`<stage>-<data>-r<8 hex>`; `swept` are the `key=value` overrides that a multirun varies."""
    content = json.dumps([_identity(config), sorted(swept)], sort_keys=True)
    return f"{safe_name(config.stage.name)}-{safe_name(config.data.name)}-r{_hash(content)}"


def multirun_name(label: str, overrides: Sequence[str]) -> str:
    """`<label>-m<8 hex>` of the command's overrides, in any order: the same sweep continues in the same folder."""
    return f"{safe_name(label)}-m{_hash(json.dumps(sorted(overrides)))}"


def next_free_run_dir(folder: Path) -> Path:
    """`folder`, or the first of `folder-2`, `folder-3`, ... that does not exist."""
    if not folder.exists():
        return folder
    return next(free for n in count(2) if not (free := folder.with_name(f"{folder.name}-{n}")).exists())


def run_dir(*, _root_: DictConfig) -> str:
    """Resolver of `hydra.run.dir`: the folder of a single run."""
    if table := OmegaConf.select(_root_, "hydra.sweeper.params"):
        keys = ", ".join(str(key).lstrip("+") for key in table)
        raise UserError(f"this is a table of several runs (it sweeps {keys}): start it with -m, or choose one row")
    config = to_train_config(_root_)
    folder = Path(config.paths.logs) / "train" / "runs" / (safe_name(config.run) if config.run else run_name(config))
    return str(next_free_run_dir(folder) if config.resume == "never" else folder)


def sweep_run_name(swept: Sequence[str], *, _root_: DictConfig) -> str:
    """Resolver of `hydra.sweep.subdir`: the folder of one run inside a multirun that varies the keys `swept`."""
    overrides = {text.partition("=")[0]: text for text in _root_.hydra.overrides.task}
    rows = [str(key) for key in OmegaConf.select(_root_, "hydra.sweeper.params") or ()]
    if not set(rows) <= set(overrides):
        raise UserError("a table of runs cannot be an element of a sweep: start it alone, -m experiments=TABLE")
    varied = [text for key, text in overrides.items() if key in {*swept, *rows}]
    config = resolved(_root_)  # unchecked: a bad row fails when its turn comes, and the others run
    folder = Path(_root_.hydra.sweep.dir) / run_name(config, varied)
    return (next_free_run_dir(folder) if config.resume == "never" else folder).name


def changes(before: TrainConfig, now: TrainConfig) -> list[str]:
    """What differs between two configurations and decides what is computed: `key was value, is value`."""
    old, new = (dict(_flat(_identity(config))) for config in (before, now))
    return [
        f"{key} was {old.get(key, 'absent')}, is {new.get(key, 'absent')}"
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]


def decides_identity(key: str) -> bool:
    """Whether the configuration key or group `key` (`stage.kimg`, `logger`) decides what a run computes."""
    kinds: list[Any] = [TrainConfig]
    for name in key.split("."):
        specs = [spec for kind in kinds if is_dataclass(kind) for spec in fields(kind) if spec.name == name]
        if any(not spec.metadata.get("identity", True) for spec in specs):
            return False
        kinds = list(STAGES.values()) if name == "stage" else [spec.type for spec in specs]
    return key != "trainer"


def _identity(config: Any) -> dict[str, Any]:
    return {
        spec.name: _identity(value) if is_dataclass(value := getattr(config, spec.name)) else value
        for spec in fields(config)
        if spec.metadata.get("identity", True)
    }


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def safe_name(name: str) -> str:
    """`name` without the characters that make trouble in file names."""
    return re.sub(r"[^\w.-]+", "_", name)
