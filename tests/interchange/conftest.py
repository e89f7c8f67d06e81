"""Others' files for the tests of reading and of importing them."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def foreign_files(load_module: Callable[[Path], ModuleType]) -> ModuleType:
    """The builders of `foreign_fixtures.py`."""
    return load_module(Path(__file__).with_name("foreign_fixtures.py"))
