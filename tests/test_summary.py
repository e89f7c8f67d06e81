"""The test run says what it left out, and `--complete` makes that a failure (but for tests that need a GPU)."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(("mark", "status", "options"), [
    ("gpu", 0, ["--complete", "-n", "1"]),
    ("slurm", 1, ["--complete", "-n", "1"]),
    ("browser", 1, ["--complete"]),
    ("browser", 0, []),
])
def test_left_out(pytester: pytest.Pytester, mark: str, status: int, options: list[str]) -> None:
    conftest = (Path(__file__).parent / "conftest.py").read_text(encoding="utf-8")
    pytester.makeconftest(f"{conftest}\nMEANS = {{mark: (lambda: False, why) for mark, (_, why) in MEANS.items()}}\n")
    pytester.makepyfile(f"import pytest\n@pytest.mark.{mark}\ndef test_a(): pass\ndef test_b(): pass\n")
    pytester.makeini("[pytest]\nmarkers =\n    gpu: a\n    browser: b\n    slurm: c\n    slow: d\n")
    result = pytester.runpytest_subprocess(*options)
    result.stdout.fnmatch_lines([f"left out: 1 {mark} (no *)"])
    assert result.ret == status
