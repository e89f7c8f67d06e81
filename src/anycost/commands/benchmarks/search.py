"""`anycost benchmark search`: evolution, random search and optuna's NSGA-II at equal evaluations, over seeds.

    anycost benchmark search weights=logs/train/runs/NAME
    anycost benchmark search weights=FILE budget=[20Mmac,40Mmac] seeds=10 evaluations=200

A space of fewer than 5 000 architectures is enumerated once: all methods look their distances up, and the true
optimum of every budget is known. All begin with the uniform and the smallest architectures, which count. methods=nsga2
needs optuna (pip install optuna); it is in the table where that is installed.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from anycost.commands.arguments import parse
from anycost.configuration.fields import MISSING, option
from anycost.errors import UserError

if TYPE_CHECKING:
    from anycost.search.archive import Archive
    from anycost.search.session import Session

METHODS = ("evolution", "random", "nsga2")


@dataclass
class SearchBenchmarkConfig:
    """On what, and how often."""

    weights: str = option(MISSING, "weights file, run folder, pipeline folder, or OWNER/NAME on the hub", path=True)
    budget: list[str] = option(["pareto"], "as for `anycost search`")
    points: int = option(5, "budgets that pareto stands for", at_least=1)
    methods: list[str] = option([], "evolution, random, nsga2; default: all that are installed")
    seeds: int = option(10, "searches of each method within each budget", at_least=1)
    evaluations: int = option(200, "architectures judged in each, those that all begin with included", at_least=1)
    population: int = option(20, "architectures of a generation", at_least=2)
    latents: int = option(64, "pictures that a distance is the mean of", at_least=1)
    perceptual: str = option("auto", "auto: that of the training", ("auto", "lpips", "embedded"))
    accelerator: str = option("auto", "where to compute", ("auto", "cpu", "gpu"))
    threads: int | None = option(None, "CPU threads; default: the cores", at_least=1)
    output: str | None = option(None, "JSON file that keeps every number", path=True)


def main(arguments: Sequence[str]) -> int:
    """Run all methods and print the table in Markdown."""
    config = parse(SearchBenchmarkConfig, arguments, __doc__)
    if config is None:
        return 0
    methods = config.methods or [name for name in METHODS if name != "nsga2" or find_spec("optuna")]
    if unknown := set(methods) - set(METHODS):
        raise UserError(f"methods={unknown.pop()} is not one of {', '.join(METHODS)}")
    from anycost.benchmarks.search import Memo, contest, table
    from anycost.search.budget_list import parse_budgets
    from anycost.search.settings import SearchSettings

    if "nsga2" in methods:
        from anycost.benchmarks.nsga2 import optuna_or_error

        optuna_or_error()
    session = _session(config)
    space, price = session.generator.space, session.prices.price
    budgets = parse_budgets(config.budget, space, price, config.points)
    everything = _enumerated(session)
    known = {one.architecture.key: one.distance for one in everything.evaluations} if everything else {}
    distances = Memo(lambda architectures: session.objective.distances(architectures), known)
    settings = [
        SearchSettings(evaluations=config.evaluations, population=config.population, seed=seed)
        for seed in range(config.seeds)
    ]
    contests = []
    for budget in budgets:
        fitting = f"{len(everything.fitting(budget))} architectures fit" if everything else ""
        _say(f"budget:  {budget} {fitting}")
        contests += [contest(name, space, price, distances, budget, settings, everything) for name in methods]
    print(table(contests))
    if config.output:
        from anycost.files import atomic_write

        with atomic_write(config.output, "w") as file:
            entries = [{**vars(one), "budget": str(one.budget)} for one in contests]
            json.dump({"space": space.count(), "identity": session.identity, "contests": entries}, file, indent=2)
    return 0


def _session(config: SearchBenchmarkConfig) -> "Session":
    """A search of everything up to the full architecture, whose archive is kept as any search's is."""
    from anycost.commands.search import SearchConfig, request
    from anycost.search.session import Session

    search = SearchConfig(
        weights=config.weights, budget=["pareto"], method="enumeration", latents=config.latents, latency=False,
        perceptual=config.perceptual, accelerator=config.accelerator, threads=config.threads,
    )  # fmt: skip
    asked = request(search)
    full = Session(asked).full_budget
    return Session(replace(asked, budgets=[full]), report=_say)


def _enumerated(session: "Session") -> "Archive | None":
    """Every architecture of a small space, judged; None for a large one."""
    from anycost.commands.search_output import Progress
    from anycost.search.enumeration import is_small

    if not is_small(session.generator.space):
        _say(f"the space has {session.space_size} architectures: it is not enumerated, the optimum is not known")
        return None
    _say(f"the space has {session.space_size} architectures: all are judged first, in {session.folder}")
    with Progress(session) as progress:
        return session.run(progress.add).archive


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
