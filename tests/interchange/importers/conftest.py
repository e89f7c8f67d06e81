"""The original networks (`originals/`) and files of each origin, for the tests of importing."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from anycost.interchange.foreign import Foreign
from anycost.interchange.header import space_of
from anycost.interchange.importers import Choice, Imported, convert
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator


@pytest.fixture(scope="session")
def originals() -> ModuleType:
    """The package `originals` beside this file."""
    folder = Path(__file__).with_name("originals")
    spec = importlib.util.spec_from_file_location(
        "originals", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _same_numbers() -> Iterator[None]:
    """One thread, and every test draws the same weights."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def imported() -> Callable[..., Imported]:
    """`imported(content, kind="torch", **choice)`: what the importers make of a file's content."""

    def run(content: Any, kind: str = "torch", **choice: Any) -> Imported:
        return convert(Foreign(kind, content, "0" * 64), Choice(**choice))

    return run


@pytest.fixture
def generator_of() -> Callable[[Imported], Generator]:
    """Our generator of an import, in float64."""

    def build(result: Imported) -> Generator:
        generator = Generator(space_of(result.header.space), **result.header.model).double()
        generator.load_state_dict(_part(result, "generator."))
        generator.truncation_mean = result.tensors.get("truncation_mean")
        return generator

    return build


@pytest.fixture
def discriminator_of() -> Callable[..., Discriminator]:
    """`discriminator_of(imported, num_resolutions=1, conditioned=False)`: ours, in float64."""

    def build(result: Imported, num_resolutions: int = 1, conditioned: bool = False) -> Discriminator:
        discriminator = Discriminator(space_of(result.header.space), num_resolutions, conditioned).double()
        discriminator.load_state_dict(_part(result, "discriminator."))
        return discriminator

    return build


def _part(result: Imported, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in result.tensors.items() if name.startswith(prefix)}
