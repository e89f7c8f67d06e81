"""Documented fields of the schema's dataclasses; their `help` feeds the option tables.

OmegaConf rejects `Literal`, so choices are `str` with `choices` metadata, checked in `choices.check_choices`.
"""

from dataclasses import field
from typing import Any

MISSING: Any = "???"


def option(
    default: Any,
    help: str,
    choices: tuple[str, ...] | None = None,
    at_least: float | None = None,
    path: bool = False,
    identity: bool = True,
) -> Any:
    """A documented field. `default` is a plain value, a list or dict (copied per instance), or a factory.

    `path` marks names in the file system: any characters are allowed and a leading `~` is expanded.
    `identity=False` marks what may change when a run continues: it is not part of the run's name.
    """
    metadata = {"help": help, "choices": choices, "at_least": at_least, "path": path, "identity": identity}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)
