"""Optional packages, and what to do where they are missing."""

from importlib.util import find_spec

from anycost.errors import UserError


def needs(*packages: str) -> None:
    """Raises `UserError` naming the missing packages and the extra that brings them."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise UserError(f"this format needs {', '.join(missing)}, not installed here: pip install -e \".[export]\"")
