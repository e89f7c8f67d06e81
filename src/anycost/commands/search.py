"""`anycost search`: the best sub-generator within each budget, by evolution; small spaces are enumerated.

    anycost search weights=logs/train/runs/NAME budget=18G
    anycost search weights=FILE budget=[20Mmac,40Mmac,30ms] evaluations=1000
    anycost search weights=FILE budget=pareto

18G and 18Gmac_paper are multiply-adds in the paper's convention, 8.4Gmac and 250Mmac true ones, 40ms is the latency
of this machine. `pareto` is a series of budgets between the cheapest and the full architecture (also pareto:mac and
pareto:ms). The same command continues after a kill, and ends with the same archive. The result can be given wherever
an architecture is asked for: architectures=RUN/search/NAME/result.json:18G.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anycost.commands import machine
from anycost.commands.arguments import parse
from anycost.configuration.fields import MISSING, option
from anycost.errors import UserError

if TYPE_CHECKING:
    from anycost.search.session import Request


@dataclass
class SearchConfig:
    """What is searched for, and how."""

    weights: str = option(MISSING, "weights file, run folder, pipeline folder, or OWNER/NAME on the hub", path=True)
    budget: list[str] = option([], "18G, 8.4Gmac, 250Mmac, 40ms, pareto; several with commas")
    points: int = option(8, "budgets that pareto stands for", at_least=1)
    method: str = option("auto", "auto: enumeration of small spaces, else evolution",
                         ("auto", "evolution", "random", "enumeration"))  # fmt: skip
    evaluations: int = option(400, "architectures judged for each budget", at_least=1)
    population: int = option(20, "architectures of a generation", at_least=2)
    latents: int = option(64, "pictures that a distance is the mean of", at_least=1)
    truncation: float = option(1.0, "psi of their styles", at_least=0)
    perceptual: str = option("auto", "auto: that of the training", ("auto", "lpips", "embedded"))
    latency: bool = option(True, "measure milliseconds too (once for each space, machine and number of threads)")
    executor: str = option("plain", "whose: plain, as in training; frozen, as in runtime", ("plain", "frozen"))
    dtype: str = option("float32", "of its convolutions", ("float32", "bfloat16"))
    seed: int = option(0, "of all draws")
    output: str | None = option(None, "folder; default: RUN/search/NAME, or logs/search/NAME", path=True)
    accelerator: str = option("auto", "where to compute", ("auto", "cpu", "gpu"))
    threads: int | None = option(None, "CPU threads; default: the cores", at_least=1)
    cache: str | None = option(None, "latency tables; default: $ANYCOST_CACHE or ~/.cache/anycost", path=True)


def main(arguments: Sequence[str]) -> int:
    """Search, draw and print the table."""
    config = parse(SearchConfig, arguments, __doc__)
    if config is None:
        return 0
    if not config.budget:
        raise UserError("budget=... is needed: for example budget=18G, budget=[20Mmac,30ms] or budget=pareto")
    from anycost.commands.search_output import Progress, announce, draw, print_table
    from anycost.search.session import Session

    session = Session(request(config), report=lambda line: print(line, file=sys.stderr, flush=True))
    announce(session, given={argument.partition("=")[0] for argument in arguments})
    with Progress(session) as progress:
        result = session.run(progress.add)
    print_table(result)
    draw(session, result)
    return 0


def request(config: SearchConfig) -> "Request":
    """What the options mean on this machine and for these weights."""
    import torch

    from anycost.interchange.locating import find_weights
    from anycost.search.session import Request
    from anycost.search.settings import SearchSettings

    torch.set_num_threads(machine.threads(config.threads))
    weights = find_weights(config.weights)
    settings = SearchSettings(config.method, config.evaluations, config.population, seed=config.seed)
    return Request(
        weights=str(weights),
        budgets=config.budget,
        settings=settings,
        perceptual=_perceptual(weights) if config.perceptual == "auto" else config.perceptual,
        latents=config.latents,
        truncation=config.truncation,
        points=config.points,
        latency=config.latency,
        executor=config.executor,
        dtype=config.dtype,
        device=machine.device(config.accelerator).type,
        output=Path(config.output) if config.output else None,
        cache=machine.cache_folder(config.cache),
    )


def _perceptual(weights: Path) -> str:
    """The distance that the run measured itself with; without its folder, LPIPS for all but the embedded faces."""
    from anycost.configuration.convert import load_config
    from anycost.interchange.weights import read_weights

    if (file := weights.with_name("config.yaml")).is_file():
        return load_config(file).metrics.perceptual
    return "embedded" if read_weights(weights)[1].card.get("data") == "faces" else "lpips"
