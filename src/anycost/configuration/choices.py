"""What single values of a tree of option dataclasses must satisfy: the `choices` and `at_least` of their fields."""

from dataclasses import fields, is_dataclass
from typing import Any

from anycost.errors import UserError


def check_choices(config: Any, prefix: str = "") -> None:
    """Raise `UserError` for the first field of the dataclass tree that breaks its `choices` or `at_least`."""
    for spec in fields(config):
        value, key = getattr(config, spec.name), f"{prefix}{spec.name}"
        choices, at_least = spec.metadata.get("choices"), spec.metadata.get("at_least")
        if is_dataclass(value):
            check_choices(value, f"{key}.")
        elif choices and value not in choices:
            raise UserError(f"{key}={value} is not one of {', '.join(choices)}")
        elif at_least is not None and value is not None and value < at_least:
            raise UserError(f"{key}={value} must be at least {at_least:g}")
