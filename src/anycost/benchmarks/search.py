"""Evolution, random search and NSGA-II at equal evaluations, over seeds; the true optimum from enumeration."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.benchmarks.nsga2 import search_with_nsga2
from anycost.search.archive import Archive, Distances, PriceOf
from anycost.search.budget import Budget
from anycost.search.evolution import evolve
from anycost.search.proposals import first_architectures
from anycost.search.random_search import search_randomly
from anycost.search.settings import SearchSettings

Method = Callable[[Archive, Budget, SearchSettings], None]
METHODS: dict[str, Method] = {"evolution": evolve, "random": search_randomly, "nsga2": search_with_nsga2}


@dataclass(frozen=True)
class Contest:
    """The best distances that one method found within one budget, a number for each seed.

    `optimum` is the smallest distance of all architectures that fit, `start` the best of those that all methods
    begin with.
    """

    method: str
    budget: Budget
    best: tuple[float, ...]
    start: float
    optimum: float | None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.best)

    @property
    def deviation(self) -> float:
        """Over seeds."""
        return statistics.stdev(self.best) if len(self.best) > 1 else 0.0

    @property
    def hits(self) -> int:
        """Seeds that found the optimum."""
        return sum(best == self.optimum for best in self.best)


class Memo:
    """Distances, each architecture's computed once: methods and seeds share what they look at.

    Args:
        compute: of a batch of architectures.
        known: what is there already, by `Architecture.key`.
    """

    def __init__(self, compute: Distances, known: dict[tuple[int, tuple[int, ...]], float] | None = None) -> None:
        self.compute, self.known = compute, dict(known or {})

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        missing = [one for one in architectures if one.key not in self.known]
        if missing:
            self.known |= zip([one.key for one in missing], self.compute(missing), strict=True)
        return [self.known[one.key] for one in architectures]


def contest(
    method: str,
    space: ArchitectureSpace,
    price: PriceOf,
    distances: Distances,
    budget: Budget,
    settings: Sequence[SearchSettings],
    everything: Archive | None = None,
) -> Contest:
    """Run a method once for each of `settings` (they differ by seed), each from an archive of its own.

    All methods begin with the uniform and the smallest architectures, which count as evaluations.
    """
    best = []
    for one in settings:
        archive = Archive(space, price, distances)
        archive.judge(first_architectures(space))
        start = archive.fitting(budget)[0].distance
        left = max(one.evaluations - len(archive), 0)
        METHODS[method](archive, budget, SearchSettings(**{**vars(one), "evaluations": left}))
        best.append(archive.fitting(budget)[0].distance)
    return Contest(method, budget, tuple(best), start, everything.fitting(budget)[0].distance if everything else None)


def table(contests: Sequence[Contest]) -> str:
    """Markdown: a row per budget, mean and standard deviation of each method, and how often the optimum was found."""
    methods = list(dict.fromkeys(one.method for one in contests))
    lines = [["budget", "optimum", "best at the start", *methods], ["---", *["---:"] * (len(methods) + 2)]]
    for budget in dict.fromkeys(one.budget for one in contests):
        own = {one.method: one for one in contests if one.budget == budget}
        first = next(iter(own.values()))
        optimum = "-" if first.optimum is None else f"{first.optimum:.5f}"
        lines.append([str(budget), optimum, f"{first.start:.5f}", *(_cell(own[method]) for method in methods)])
    lines.append(["mean", "", "", *(f"{_mean(contests, method):.5f}" for method in methods)])
    if contests[0].optimum is not None:
        lines.append(["mean excess", "", "", *(f"{_excess(contests, method):.2%}" for method in methods)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(one: Contest) -> str:
    hits = "" if one.optimum is None else f" ({one.hits}/{len(one.best)})"
    return f"{one.mean:.5f} ± {one.deviation:.5f}{hits}"


def _mean(contests: Sequence[Contest], method: str) -> float:
    return statistics.fmean(one.mean for one in contests if one.method == method)


def _excess(contests: Sequence[Contest], method: str) -> float:
    """Mean over budgets and seeds of how far the best found lies above the optimum, as a share of it."""
    found = [(best, one.optimum) for one in contests if one.method == method for best in one.best]
    return statistics.fmean(best / optimum - 1 for best, optimum in found if optimum)
