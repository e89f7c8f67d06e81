"""From what Hydra composed, or from a run's `config.yaml`, to the plain objects that everything else receives."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from anycost.configuration.checks import check
from anycost.configuration.fields import MISSING
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import STAGES
from anycost.errors import UserError
from anycost.files import atomic_write


def to_train_config(composed: DictConfig) -> TrainConfig:
    """The checked `TrainConfig` of a composed configuration: interpolations resolved, a leading `~` expanded.

    Raises `UserError` for a value that is missing or impossible, naming the key and the remedy.
    """
    config = resolved(composed)
    check(config)
    return config


def resolved(composed: DictConfig) -> TrainConfig:
    """`to_train_config` without the checks of values against each other."""
    own = OmegaConf.masked_copy(composed, [spec.name for spec in fields(TrainConfig)])
    for key in _missing(OmegaConf.to_container(own, resolve=False)):
        raise UserError(f"{key} is missing: add {key}=... to the command line")
    return from_values(OmegaConf.to_container(own, resolve=True))


def from_values(values: Any) -> TrainConfig:
    """The `TrainConfig` of nested plain values; `stage.name` says which class the stage has."""
    stage = STAGES.get(values["stage"]["name"])
    if stage is None:
        raise UserError(f"stage.name={values['stage']['name']} is not one of {', '.join(STAGES)}")
    return _build(TrainConfig, {**values, "stage": _build(stage, values["stage"], "stage.")})


def save_config(config: TrainConfig, file: Path) -> None:
    """Write the resolved configuration as YAML that `load_config` reads back without Hydra."""
    with atomic_write(file, "w") as stream:
        yaml.safe_dump(asdict(config), stream, sort_keys=False, allow_unicode=True)


def load_config(file: Path) -> TrainConfig:
    """The configuration that `save_config` wrote."""
    config = from_values(yaml.safe_load(file.read_text(encoding="utf-8")))
    check(config)
    return config


def _missing(values: Any, prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _missing(value, f"{prefix}{name}.")
        elif value == MISSING:
            yield f"{prefix}{name}"


def _build(kind: type, values: Mapping[str, Any], prefix: str = "") -> Any:
    specs = {spec.name: spec for spec in fields(kind)}
    unknown = sorted(set(values) - set(specs))
    if unknown:
        raise UserError(f"{prefix}{unknown[0]} does not exist")
    arguments = {}
    for name, value in values.items():
        spec = specs[name]
        if isinstance(spec.type, type) and is_dataclass(spec.type) and isinstance(value, Mapping):
            value = _build(spec.type, value, f"{prefix}{name}.")
        elif spec.metadata.get("path") and value is not None:
            value = str(Path(value).expanduser()) if value.startswith("~") else value
        arguments[name] = value
    return kind(**arguments)
