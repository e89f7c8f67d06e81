"""Marked tests run where their means are at hand; what was left out is said at the end of every run."""

import importlib.util
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_browser() -> bool:
    return importlib.util.find_spec("playwright") is not None and any(
        shutil.which(name) for name in ("chromium", "google-chrome", "firefox")
    )


def _has_slurm() -> bool:
    return all(shutil.which(name) for name in ("slurmctld", "slurmd", "sbatch"))


MEANS: dict[str, tuple[Callable[[], bool], str]] = {
    "gpu": (_has_gpu, "no CUDA device"),
    "browser": (_has_browser, "no browser that playwright can drive"),
    "slurm": (_has_slurm, "no SLURM packages"),
}
MARKS = (*MEANS, "slow")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--complete", action="store_true",
                     help="fail when a marked test is left out for another reason than a missing GPU")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for mark, (available, reason) in MEANS.items():
        marked = [item for item in items if item.get_closest_marker(mark)]
        if marked and not available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))


def _left_out(config: pytest.Config) -> Counter[str]:
    """How many tests of each mark were skipped or deselected."""
    stats = config.pluginmanager.get_plugin("terminalreporter").stats
    reports = [*stats.get("skipped", []), *stats.get("deselected", [])]
    return Counter(mark for report in reports for mark in MARKS if mark in report.keywords)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    complete = session.config.getoption("--complete") and not hasattr(session.config, "workerinput")
    if complete and set(_left_out(session.config)) - {"gpu"}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = _left_out(config)
    described = [f"{count} {mark} ({MEANS[mark][1]})" if mark in MEANS else f"{count} {mark}"
                 for mark, count in sorted(left_out.items())]
    terminalreporter.write_line(f"left out: {', '.join(described) or 'no marked test'}")


@pytest.fixture(scope="session")
def mutate() -> Callable[[bytes, random.Random], bytes]:
    """`mutate(data, rng)`: a file's content, damaged (`mutations.py`)."""
    spec = importlib.util.spec_from_file_location("mutations", Path(__file__).with_name("mutations.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.mutate
