"""Others' files for the tests of reading and of importing them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def foreign_files() -> ModuleType:
    """The builders of `foreign_fixtures.py`."""
    spec = importlib.util.spec_from_file_location("foreign_fixtures", Path(__file__).with_name("foreign_fixtures.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
