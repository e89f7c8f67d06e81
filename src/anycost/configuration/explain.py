"""What Hydra and OmegaConf raise, said in one message that names the key and its nearest neighbour."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    OmegaConfBaseException,
)

from anycost.configuration.paths import config_groups
from anycost.errors import UserError


def explain(error: BaseException) -> UserError | None:
    """The `UserError` behind `error`, or `None` where it is not about the configuration."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, UserError):
            return cause
        if isinstance(cause, OverrideParseException):
            return UserError(f"cannot read the argument {cause.override!r}: arguments look like key=value, "
                             "and values with special characters need quotes")
        if isinstance(cause, MissingConfigException):
            return UserError(_missing_option(cause))
        if isinstance(cause, yaml.MarkedYAMLError):
            return UserError(f"not valid YAML: {cause.problem}{cause.problem_mark}")
    for cause in chain:
        if isinstance(cause, OmegaConfBaseException):
            return UserError(_origin(chain) + _omegaconf(cause))
    if isinstance(error, HydraException):
        return UserError(_hydra(str(error)))
    return None


def nearest_keys(key: str, known: Sequence[str]) -> list[str]:
    """What `key` was probably meant to be: a sibling of similar name, else (several) keys of that name elsewhere."""
    parent, _, name = key.rpartition(".")
    siblings = [other for other in known if other.rpartition(".")[0] == parent]
    for candidates, cutoff in ((siblings, 0.6), (known, 0.8)):
        names = {other.rpartition(".")[2] for other in candidates}
        if match := get_close_matches(name, sorted(names), n=1, cutoff=cutoff):
            return [other for other in candidates if other.rpartition(".")[2] == match[0]][:3]
    return []


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _origin(chain: Sequence[BaseException]) -> str:
    """The file in which Hydra found the error, as a prefix; empty for the command line."""
    for cause in chain:
        if isinstance(cause, HydraException) and (found := re.match(r"In '([^']+)'", str(cause))):
            return f"{found[1]}.yaml: "
    return ""


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = [name for name in config_groups().get(group) or error.options or [] if not name.startswith("base_")]
    top, _, inner = group.partition("/")
    if inner and top in (groups := config_groups()):
        group, option, options = top, f"{inner}/{option}", groups[top]
    if not group:
        return f"the configuration {option!r} does not exist"
    match = get_close_matches(option, options, n=1)
    hint = f"; did you mean {match[0]}?" if match else "."
    beside = [name for name in options if name.rpartition("/")[0] == option.rpartition("/")[0]]
    return f"{group}={option} does not exist{hint} Options: {', '.join(beside or options)}"


def _hydra(message: str) -> str:
    """Hydra's own messages are clear, but for the one that beginners meet first."""
    if found := re.match(r"(Ambiguous value for argument|Sweep parameters) '(.*?)'", message):
        return f"{found[2]} has several values: add -m to run each of them, or write a list as [a,b]"
    return message


def _omegaconf(error: OmegaConfBaseException) -> str:
    key: str = error.full_key or str(error.key)
    reason = str(error.msg or error).splitlines()[0]
    if isinstance(error, ConfigKeyError | ConfigAttributeError) and not isinstance(error, InterpolationKeyError):
        return _unknown_key(key, error.parent_node)
    if "is not Optional" in reason:
        return f"{key} cannot be null"
    return f"{key}: {reason}" if key and key != "None" else reason


def _unknown_key(key: str, parent: object) -> str:
    root = parent._get_root() if isinstance(parent, DictConfig) else None
    known = [*_dotted(root, hydra=key.startswith("hydra"))] if isinstance(root, DictConfig) else []
    if match := nearest_keys(key, list(dict.fromkeys([*known, *config_groups()]))):
        return f"{key} does not exist; did you mean {' or '.join(match)}?"
    home = key.rpartition(".")[0]
    siblings = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == home]
    return f"{key} does not exist; {home or 'the configuration'} has {', '.join(siblings) or 'no keys'}"


def _dotted(node: DictConfig, prefix: str = "", hydra: bool = False) -> Iterator[str]:
    for name in map(str, node):
        if not prefix and (name == "hydra") != hydra:
            continue
        yield f"{prefix}{name}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not (child._is_none() or child._is_missing()):
            yield from _dotted(child, f"{prefix}{name}.")
