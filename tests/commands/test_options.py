"""The option tables are made from the schema and cannot go stale."""

from pathlib import Path

import pytest

from anycost.commands import main
from anycost.commands.options import render, sections
from anycost.configuration.paths import config_groups

PAGE = Path(__file__).resolve().parents[2] / "docs" / "options.md"


def test_page_is_current() -> None:
    expected = render(list(sections())) + "\n"
    assert PAGE.read_text(encoding="utf-8") == expected, "run: anycost options > docs/options.md"


def test_every_option_says_what_it_is() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []
    assert set(config_groups()) <= set(sections())


def test_sections_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options", "trainer"]) == 0
    out = capsys.readouterr().out
    assert "trainer.micro_batch" in out
    assert "## data" not in out


def test_unknown_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options", "trainers"]) == 2
    assert "the groups are" in capsys.readouterr().err
