"""Any file name can be typed as it is (design decision 15)."""

from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from anycost.configuration.arguments import PATH_KEYS, protect_paths, without_plus
from anycost.configuration.schema import TrainConfig

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).filter(
    lambda name: name != "null" and name[0] not in "~'\"" and "${" not in name
)


def parsed(argument: str, sweep: bool = False) -> list[str]:
    (override,) = OverridesParser.create().parse_overrides(protect_paths([argument], sweep))
    if override.is_sweep_override():
        return list(override.sweep_iterator(lambda value: value.text if hasattr(value, "text") else value))
    return [override.value()]


@given(NAMES)
def test_any_name_arrives_unchanged(name: str) -> None:
    assert parsed(f"data.path={name}") == [name]


@given(st.lists(NAMES.filter(lambda name: "," not in name and not set("'\"") & set(name)), min_size=1, max_size=4))
def test_sweeps_split_at_commas(names: list[str]) -> None:
    assert parsed("init_from=" + ",".join(names), sweep=True) == names


@pytest.mark.parametrize("name", ["My Photos (2)/[a]=#1, ü.zip", "it's", 'say "x"', "back\\slash\\", "a\\'b", "{x: 1}"])
def test_difficult_names(name: str) -> None:
    assert parsed(f"data.path={name}") == [name]


def test_home_is_expanded() -> None:
    assert parsed("data.path=~/my images") == [str(Path.home() / "my images")]


@pytest.mark.parametrize("argument", [
    "data.path=null", "data.path='a, b'", 'data.path="a"', "data.path=", "seed=1,2", "stage=ada_ch", "--cfg", "-m",
])
def test_what_is_left_alone(argument: str) -> None:
    assert protect_paths([argument]) == [argument]


@pytest.mark.parametrize(("argument", "expected"), [
    ("+stage.kimg=3", "stage.kimg=3"),
    ("++seed=3", "seed=3"),
    ("+experiments@_global_=a", "+experiments@_global_=a"),
    ("+experiments=a", "+experiments=a"),
    ("+hydra.x=1", "+hydra.x=1"),
])
def test_plus_adds_groups_only(argument: str, expected: str) -> None:
    assert without_plus([argument], ["experiments", "stage"]) == [expected]


def test_every_path_of_the_schema_is_protected() -> None:
    groups = [(f"{spec.name}.", spec.type) for spec in fields(TrainConfig) if is_dataclass(spec.type)]
    paths = {prefix + spec.name for prefix, kind in [("", TrainConfig), *groups] for spec in fields(kind)
             if spec.metadata["path"]}
    assert paths
    assert paths <= PATH_KEYS
