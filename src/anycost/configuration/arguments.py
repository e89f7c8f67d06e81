"""Command-line arguments before Hydra parses them (design decision 15).

Hydra gives brackets, commas, `=`, `#` and spaces a meaning of their own. Values of keys that name files are
therefore quoted here, so that any file name can be typed as it is.
"""

import re
from collections.abc import Sequence
from pathlib import Path

PATH_KEYS = frozenset({
    "weights", "source", "output", "images", "latents", "architecture", "init_from", "resume",
    "stage.teacher",
    "data.path", "data.subset", "paths.data", "paths.logs", "paths.cache", "cluster.python",
})
_OVERRIDE = re.compile(r"(?P<plus>\+{0,2})(?P<key>[\w./@-]+)=(?P<value>.*)", re.DOTALL)
_QUOTED = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""


def protect_paths(arguments: Sequence[str], sweep: bool = False) -> list[str]:
    """`arguments` with the values of path-like keys quoted and their leading `~` expanded.

    With `sweep`, commas separate values, as everywhere under `-m`; a name that has a comma then needs quotes of
    its own. `${...}` stays an interpolation, `null` stays null, and quoted values stay as they are.
    """
    return [_protect(argument, sweep) for argument in arguments]


def without_plus(arguments: Sequence[str], groups: Sequence[str]) -> list[str]:
    """`arguments` without Hydra's `+` and `++` before plain keys.

    The schema knows every key, so nothing can be added, and a misspelt key gets the same message with `+` as without.
    """
    return [_plain(argument, groups) for argument in arguments]


def quote(value: str) -> str:
    """`value` as a quoted string of Hydra's grammar, unless it is quoted already, empty or `null`."""
    if value in ("", "null") or re.fullmatch(_QUOTED, value, re.DOTALL):
        return value
    if value.startswith("~"):
        value = str(Path(value).expanduser())
    value = re.sub(r"(\\*)'", r"\1\1\\'", value)
    return "'" + re.sub(r"(\\+)$", r"\1\1", value) + "'"


def _protect(argument: str, sweep: bool) -> str:
    found = _OVERRIDE.fullmatch(argument)
    if not found or found["key"] not in PATH_KEYS:
        return argument
    values = _split(found["value"]) if sweep else [found["value"]]
    return f"{found['plus']}{found['key']}={','.join(map(quote, values))}"


def _plain(argument: str, groups: Sequence[str]) -> str:
    found = _OVERRIDE.fullmatch(argument)
    if not found or found["key"] in groups or re.search("@|^hydra", found["key"]):
        return argument
    return argument.removeprefix(found["plus"])


def _split(value: str) -> list[str]:
    """Split at the commas outside quotes."""
    return re.findall(rf"(?:{_QUOTED}|[^,])+", value, re.DOTALL) or [value]
