"""The comparison of methods is fair: equal beginnings, equal evaluations, the optimum of all that fit."""

import sys
from collections.abc import Callable, Sequence

import pytest

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.benchmarks import search as contests
from anycost.benchmarks.nsga2 import optuna_or_error
from anycost.benchmarks.search import Memo, contest, table
from anycost.errors import UserError
from anycost.pricing.price_list import PriceList
from anycost.search.archive import Archive
from anycost.search.budget import Budget
from anycost.search.proposals import first_architectures
from anycost.search.settings import SearchSettings

BUDGET = Budget.parse("60M")


@pytest.mark.parametrize("method", ["evolution", "random", "nsga2"])
def test_every_method_has_the_same_beginning_and_number(
    method: str, space: ArchitectureSpace, prices: PriceList, synthetic: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    if method == "nsga2":
        pytest.importorskip("optuna", minversion="5")
    archives: list[Archive] = []
    plain = contests.METHODS[method]

    def watched(archive: Archive, budget: Budget, settings: SearchSettings) -> None:
        assert {one.key for one in first_architectures(space)} == {one.architecture.key for one in archive.evaluations}
        plain(archive, budget, settings)
        archives.append(archive)

    monkeypatch.setitem(contests.METHODS, method, watched)
    settings = [SearchSettings(evaluations=30, population=8, seed=seed) for seed in (0, 1)]
    everything = Archive(space, prices.price, synthetic(space))
    everything.judge(space.enumerate())
    found = contest(method, space, prices.price, synthetic(space), BUDGET, settings, everything)
    assert [len(archive) for archive in archives] == [30, 30]
    assert found.best == tuple(archive.fitting(BUDGET)[0].distance for archive in archives)
    assert found.optimum == min(one.distance for one in everything.evaluations if BUDGET.fits(one.price))
    assert found.optimum <= min(found.best) <= max(found.best) <= found.start
    assert found.hits == found.best.count(found.optimum)


def test_distances_are_computed_once() -> None:
    space, asked = ArchitectureSpace(32, 0.125, 64, 3), []

    def compute(architectures: Sequence[Architecture]) -> list[float]:
        asked.extend(architectures)
        return [float(one.resolution) for one in architectures]

    full, half = space.full(), space.uniform(0.5, 16)
    memo = Memo(compute, {full.key: 7.0})
    assert memo([full, half]) == [7.0, 16.0]
    assert memo([half, full]) == [16.0, 7.0]
    assert asked == [half]


def test_the_table_says_means_and_hits(space: ArchitectureSpace) -> None:
    results = [contests.Contest("evolution", BUDGET, (0.1, 0.1), 0.5, 0.1),
               contests.Contest("random", BUDGET, (0.1, 0.2), 0.5, 0.1)]  # fmt: skip
    lines = table(results).splitlines()
    assert lines[0] == "| budget | optimum | best at the start | evolution | random |"
    assert lines[2].split(" | ")[3:] == ["0.10000 ± 0.00000 (2/2)", "0.15000 ± 0.07071 (1/2) |"]
    assert lines[-1] == "| mean excess |  |  | 0.00% | 50.00% |"


def test_optuna_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match="pip install 'optuna>=5'"):
        optuna_or_error()
