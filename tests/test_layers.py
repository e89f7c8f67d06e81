"""Imports follow the arrows of docs/architecture.md; the networks know no framework; start-up stays light."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "anycost"
FILES = sorted(PACKAGE.rglob("*.py"))

FRAMEWORKS = {"pytorch_lightning", "lightning", "hydra", "omegaconf", "wandb"}
PLAIN = {"architecture", "networks", "runtime", "losses", "pricing", "interchange", "randomness", "sampling",
         "generation", "metrics", "search", "export"}
HEAVY = {"torch", "torchvision", "pytorch_lightning", "wandb", "matplotlib"}
LIGHT = {"__init__", "attempts", "commands", "configuration", "errors", "files", "signals", "sweeps"}


def arrows() -> list[set[str]]:
    """The parts between the arrows of the documentation, from left to right."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = re.search(r"## Arrows\s+```\n(.*?)```", page, re.DOTALL)
    assert block
    return [{name.strip() for name in step.split(",")} for step in block[1].split("->")]


def part(module: str, steps: list[set[str]]) -> str:
    """The part of the documentation to which `stages.base` or `configuration.schema` belongs."""
    known = set().union(*steps)
    return next((name for name in (".".join(module.split(".")[:2]), module.split(".")[0]) if name in known), module)


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


def imports(file: Path, everywhere: bool = True) -> Iterator[str]:
    """Full names that a file imports: everywhere, or at the top level only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_imports_follow_the_arrows(file: Path) -> None:
    steps = arrows()
    place = {name: step for step, names in enumerate(steps) for name in names}
    if file.stem in ("__main__", "__init__") and file.parent == PACKAGE:
        return
    own = part(module_name(file), steps)
    assert own in place, f"docs/architecture.md has no place for {own}"
    for name in imports(file):
        inner = name.removeprefix("anycost.")
        if inner == name or inner == "__version__":
            continue
        other = part(inner, steps)
        assert other in place, f"docs/architecture.md has no place for {other}"
        assert place[other] <= place[own], f"{module_name(file)} imports {name}, which is further right"


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_frameworks_stay_where_they_belong(file: Path) -> None:
    roots = {name.split(".")[0] for name in imports(file)}
    assert "lightning" not in roots, "pytorch_lightning and lightning do not mix"
    top = module_name(file).split(".")[0]
    if top in PLAIN:
        assert not roots & FRAMEWORKS
    if top not in ("commands", "configuration") and module_name(file) != "sweeps.launching":
        assert not roots & {"hydra", "omegaconf"}


@pytest.mark.parametrize("file", [file for file in FILES if module_name(file).split(".")[0] in LIGHT], ids=module_name)
def test_start_up_imports_nothing_heavy(file: Path) -> None:
    assert not {name.split(".")[0] for name in imports(file, everywhere=False)} & HEAVY


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_files_hold_one_idea(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text)) or not text.strip(), "a file's first sentence says what it holds"
