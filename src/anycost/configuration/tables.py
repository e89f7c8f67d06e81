"""Experiments that are tables of runs: which rows they list."""

import yaml

from anycost.configuration.paths import config_groups, config_home
from anycost.errors import UserError


def table_rows(name: str) -> list[str]:
    """The rows of `experiments=NAME`, each the name of an experiment; `UserError` where it is no table."""
    file = config_home() / "experiments" / f"{name}.yaml"
    if not file.is_file():
        tables = ", ".join(one for one in config_groups()["experiments"] if "/" not in one)
        raise UserError(f"experiments={name} does not exist; there are {tables}")
    content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    params = ((content.get("hydra") or {}).get("sweeper") or {}).get("params") or {}
    rows = params.get("+experiments@_global_")
    if not rows:
        raise UserError(f"experiments={name} is one run, not a table of several")
    return [row.strip() for row in str(rows).split(",")]
