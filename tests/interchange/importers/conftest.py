"""The original networks (`originals/`) and files of each origin, for the tests of importing."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import Tensor

from anycost.interchange.foreign import Foreign
from anycost.interchange.header import space_of
from anycost.interchange.importers import Choice, Imported, convert
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator


@pytest.fixture(scope="session")
def originals(load_module: Callable[[Path], ModuleType]) -> ModuleType:
    """The package `originals` beside this file."""
    return load_module(Path(__file__).with_name("originals"))


@pytest.fixture(autouse=True)
def _quiet(quiet_torch: None) -> None:
    """Every test here."""


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
