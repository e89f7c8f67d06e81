"""Marked tests run where their means are at hand; what was left out is said at the end of every run."""

import importlib.util
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

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


@pytest.fixture
def quiet_torch() -> Iterator[None]:
    """One thread, and the same random state at the start of every test; for folders whose tests compute."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def load_module() -> Callable[[Path], ModuleType]:
    """`load_module(path)`: helpers that lie beside tests, a file or a package's folder, which no import finds."""

    def load(path: Path) -> ModuleType:
        file, inside = (path / "__init__.py", [str(path)]) if path.is_dir() else (path, None)
        spec = importlib.util.spec_from_file_location(path.stem, file, submodule_search_locations=inside)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def mutate(load_module: Callable[[Path], ModuleType]) -> Callable[[bytes, random.Random], bytes]:
    """`mutate(data, rng)`: a file's content, damaged (`mutations.py`)."""
    return load_module(Path(__file__).with_name("mutations.py")).mutate
