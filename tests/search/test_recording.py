"""A search that is killed and started again ends with the same archive, byte for byte."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.pricing.price_list import PriceList
from anycost.search.budget_list import parse_budgets
from anycost.search.recording import Recording, digest
from anycost.search.searching import search
from anycost.search.settings import SearchSettings

IDENTITY = {"weights": "abc", "budgets": ["30Mmac_paper", "50Mmac_paper"]}

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_recording import IDENTITY, run
from anycost.search.recording import Recording

calls = 0
def computed(architectures):
    global calls
    calls += len(architectures)
    if calls > 40:
        os.kill(os.getpid(), signal.SIGKILL)

run(Path(sys.argv[1]), computed)
"""

OTHER = """
import sys
from pathlib import Path
from anycost.search.recording import Recording
Recording(Path(sys.argv[1]), {})
"""


def distance(one: Architecture) -> float:
    return sum(1 / count for count in one.key[1]) + 32 / one.resolution


def run(folder: Path, seen: Callable[[Sequence[Architecture]], object] = lambda architectures: None) -> None:
    """The same search every time."""
    space = ArchitectureSpace(32, 0.125, 64, 3)
    price = PriceList(space, 16, 1).price
    recording = Recording(folder, IDENTITY)

    def compute(architectures: Sequence[Architecture]) -> list[float]:
        seen(architectures)
        return [distance(one) for one in architectures]

    budgets = parse_budgets(["30M", "50M"], space, price)
    chosen = SearchSettings("evolution", 25, population=8)
    search(space, price, recording.distances(compute), budgets, chosen, recording.add)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The archive of a search that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return (folder / "archive.jsonl").read_bytes()


def test_killed_and_continued_is_the_same_to_the_byte(tmp_path: Path, whole: bytes) -> None:
    here = str(Path(__file__).parent)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), here], check=False)
    assert killed.returncode == -signal.SIGKILL
    part = (tmp_path / "archive.jsonl").read_bytes()
    assert 0 < len(part) < len(whole)
    assert whole.startswith(part)
    computed: list[Architecture] = []
    run(tmp_path, computed.extend)
    assert (tmp_path / "archive.jsonl").read_bytes() == whole
    assert len(computed) == whole.count(b"\n") - part.count(b"\n"), "nothing is computed twice"


@pytest.mark.parametrize("cut", [1, 100, 3000])
def test_a_torn_line_is_dropped(cut: int, tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "archive.jsonl").write_bytes(whole[:-cut])
    run(tmp_path)
    assert (tmp_path / "archive.jsonl").read_bytes() == whole


def test_a_finished_search_computes_nothing(tmp_path: Path, whole: bytes) -> None:
    run(tmp_path)
    computed: list[Architecture] = []
    run(tmp_path, computed.extend)
    assert computed == []
    assert (tmp_path / "archive.jsonl").read_bytes() == whole


def test_a_folder_belongs_to_one_search(tmp_path: Path) -> None:
    Recording(tmp_path, IDENTITY)
    with pytest.raises(UserError, match=f"{tmp_path.name} holds another search"):
        Recording(tmp_path, {**IDENTITY, "weights": "other"})


def test_an_archive_that_went_another_way_is_refused(tmp_path: Path, whole: bytes) -> None:
    lines = whole.decode().splitlines()
    lines[30], lines[31] = lines[31], lines[30]
    (tmp_path / "archive.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"archive\.jsonl was written by a search that went another way"):
        run(tmp_path)


@pytest.mark.parametrize("line", ["{", "[]", "{}", '"text"', '{"distance": 1}'])
def test_a_line_that_is_no_evaluation_is_named(tmp_path: Path, line: str, whole: bytes) -> None:
    (tmp_path / "archive.jsonl").write_text(whole.decode() + line + "\n")
    with pytest.raises(UserError, match=r"archive\.jsonl has a line that is no evaluation"):
        Recording(tmp_path, IDENTITY)


def test_a_broken_identity_is_named(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(UserError, match=r"search\.json is not JSON"):
        Recording(tmp_path, IDENTITY)


def test_the_digest_changes_with_everything() -> None:
    assert digest(IDENTITY) != digest({**IDENTITY, "weights": "b"})
    assert digest(IDENTITY) == digest(json.loads(json.dumps(dict(reversed(IDENTITY.items())))))


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    recording = Recording(tmp_path, IDENTITY)
    other = subprocess.run([sys.executable, "-c", OTHER, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "another process searches in" in other.stderr
    assert len(recording) == 0
