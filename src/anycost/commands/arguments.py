"""`key=value` arguments of the verbs that need no Hydra: parsed into a dataclass of `option()` fields.

Everything behind the first `=` is the value, so any file name can be typed as it is.
"""

import os
import types
from collections.abc import Sequence
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, fields
from difflib import get_close_matches
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from anycost.configuration.choices import check_choices
from anycost.configuration.fields import MISSING
from anycost.errors import UserError

Options = TypeVar("Options")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse(
    kind: type[Options], arguments: Sequence[str], description: str | None, defaults: Sequence[str] = ()
) -> Options | None:
    """The options as a `kind`; None where `--help` was asked for, which is then printed.

    Values are str, int, float, bool, `X | None` (written `null`) or list[str] (commas, with or without brackets);
    paths get their `~` expanded. Each key may be given once; those given replace `defaults`, which are arguments too.
    Raises `UserError` naming the key, its value and the remedy.
    """
    if "-h" in arguments or "--help" in arguments:
        print(usage(kind, description))
        return None
    check_once(arguments)
    given = {_key(one) for one in arguments}
    specs: dict[str, Field] = {spec.name: spec for spec in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for argument in [*(one for one in defaults if _key(one) not in given), *arguments]:
        key, equals, text = argument.partition("=")
        if not equals or key not in specs:
            raise UserError(_unknown(argument, key, list(specs)))
        value = _convert(key, text, hints[key])
        values[key] = os.path.expanduser(value) if specs[key].metadata.get("path") and value else value
    config = kind(**values)
    for name in specs:
        if getattr(config, name) == MISSING:
            raise UserError(f"{name}=... is needed: {specs[name].metadata['help']}")
    check_choices(config)
    return config


def check_once(arguments: Sequence[str]) -> None:
    """Raise `UserError` where two arguments give the same key a value."""
    seen: dict[str, str] = {}
    for argument in arguments:
        if "=" not in argument:
            continue
        if _key(argument) in seen:
            raise UserError(f"{seen[_key(argument)]} and {argument} are given; use one of them")
        seen[_key(argument)] = argument


def _key(argument: str) -> str:
    return argument.partition("=")[0]


def usage(kind: Any, description: str | None) -> str:
    """The description and one line per option: name, default, meaning."""
    lines = [(description or "").strip(), "", "options:"]
    for spec in fields(kind):
        shown = spec.default if spec.default_factory is NO_DEFAULT else f"[{','.join(spec.default_factory())}]"
        value = "..." if shown == MISSING else "null" if shown is None else str(shown)
        choices = spec.metadata.get("choices")
        more = f" ({', '.join(choices)})" if choices else ""
        lines.append(f"  {spec.name + '=' + value:<22} {spec.metadata['help']}{more}")
    return "\n".join(lines)


def _convert(key: str, text: str, hint: Any) -> Any:
    """`text` as the hinted type; raises `UserError`."""
    if get_origin(hint) in (Union, types.UnionType):
        if text in ("null", "none", ""):
            return None
        hint = next(choice for choice in get_args(hint) if choice is not type(None))
    if get_origin(hint) is list:
        inside = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        return [part.strip() for part in inside.split(",") if part.strip()]
    try:
        return _TRUTH[text.lower()] if hint is bool else hint(text)
    except (ValueError, KeyError) as error:
        expected = {int: "a whole number", float: "a number", bool: "true or false"}[hint]
        raise UserError(f"{key}={text} is not {expected}") from error


def _unknown(argument: str, key: str, known: list[str]) -> str:
    close = get_close_matches(key, known, n=1)
    if not argument.partition("=")[1]:
        return f"{argument} is not of the form key=value; the keys are {', '.join(known)}"
    return f"{key}= is not an option; " + (f"did you mean {close[0]}=?" if close else f"there are {', '.join(known)}")
