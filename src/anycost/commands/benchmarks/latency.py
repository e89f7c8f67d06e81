"""`anycost benchmark latency`: milliseconds and pictures per second at several budgets on this machine.

    anycost benchmark latency weights=logs/train/runs/NAME threads=1
    anycost benchmark latency weights=FILE architectures=[logs/train/runs/NAME/search/NAME/result.json]
    anycost benchmark latency model=config_f model.resolution=1024 reductions=1,4,10 output=latency.json

A reduction of 4 allows a quarter of the full generator's multiply-adds (paper's convention), as in the paper's
Table 4. What runs is the dearest uniform architecture that fits; with architectures=, these (a search's result), or
with reductions= too, the dearest of these. Close other programs: all rows are measured in turn on what is left.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anycost.commands import machine
from anycost.commands.arguments import parse
from anycost.commands.benchmarks.subject import Subject, model_help, open_subject, split_model
from anycost.configuration.fields import option
from anycost.errors import UserError

if TYPE_CHECKING:
    from anycost.benchmarks.latency import Row
    from anycost.networks.generator import Generator


@dataclass
class LatencyConfig:
    """Whose architectures, which, and how they run."""

    weights: str | None = option(None, "weights file, run folder, pipeline folder, or OWNER/NAME on the hub", path=True)
    architectures: list[str] = option([], "instead of uniform ones: FILE.json, FILE.json:NAME, 0.5@256, ...")
    reductions: list[str] = option([], "budgets as fractions of the full generator; default: 1,2,4,6,8,10")
    batch_size: int = option(1, "pictures of one call", at_least=1)
    threads: int | None = option(None, "CPU threads; default: the cores", at_least=1)
    dtype: str = option("float32", "of the convolutions", ("float32", "bfloat16"))
    executor: str = option("plain", "plain: as in training; frozen: as in runtime", ("plain", "frozen"))
    accelerator: str = option("auto", "where to compute", ("auto", "cpu", "gpu"))
    predict: bool = option(True, "predict from single layers too (measured once, then kept in the cache)")
    seconds: float = option(20.0, "about how long to measure", at_least=0)
    output: str | None = option(None, "JSON file that keeps the table", path=True)
    cache: str | None = option(None, "latency tables; default: $ANYCOST_CACHE or ~/.cache/anycost", path=True)


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the table in Markdown."""
    about_model, others = split_model(arguments)
    config = parse(LatencyConfig, others, __doc__)
    if config is None:
        print(model_help())
        return 0
    subject = open_subject(config.weights, about_model)
    from anycost.benchmarks.latency import markdown, measure, to_json
    from anycost.pricing.executors import conditions
    from anycost.pricing.latency_table import cached_table

    rows, notes = _rows(config, subject)
    generator = _generator(config, subject)
    wanted = conditions(generator, config.executor, machine.threads(config.threads), config.dtype, config.batch_size)
    cache = machine.cache_folder(config.cache)
    table = cached_table(generator, wanted, cache, report=_say) if config.predict else None
    result = measure(generator, rows, wanted, config.seconds, table, _say)
    print("\n".join([markdown(result), *notes]))
    if config.output:
        from anycost.files import atomic_write

        with atomic_write(config.output, "w") as file:
            json.dump({"generator": subject.name, "notes": notes, **to_json(result)}, file, indent=1)
    return 0


def _rows(config: LatencyConfig, subject: Subject) -> tuple[list["Row"], list[str]]:
    """The rows to measure, the full generator first, and remarks about their choice."""
    from anycost.benchmarks.latency import (
        REDUCTIONS,
        positive_reductions,
        rows_for_reductions,
        rows_of,
        uniform_architectures,
    )
    from anycost.pricing.price_list import PriceList

    prices = PriceList(subject.space, subject.latent_dim, subject.mapping_layers)
    full = {"full": subject.space.full()}
    named = subject.architectures(config.architectures)
    if named and not config.reductions:
        others = {name: one for name, one in named.items() if one.key != full["full"].key}
        return [*rows_of(prices, full), *rows_of(prices, others)], []
    candidates = {**full, **named} if named else uniform_architectures(subject.space)
    reductions = positive_reductions(config.reductions) or [*REDUCTIONS]
    rows, missing = rows_for_reductions(prices, candidates, reductions)
    if missing and config.reductions:
        raise UserError(f"reductions={','.join(config.reductions)}: {missing[0]}")
    notes = [] if named else ["Not searched: the dearest uniform architecture that fits each budget."]
    if rows[0].architecture.key != full["full"].key:
        rows.insert(0, *rows_of(prices, full))
    return rows, [*notes, *(f"No row for {one}." for one in missing)]


def _generator(config: LatencyConfig, subject: Subject) -> "Generator":
    """The generator to run, on the device; `model=` gives one of random weights, which takes as long."""
    from anycost.interchange.locating import open_generator
    from anycost.networks.generator import Generator

    if subject.weights is not None:
        generator, _ = open_generator(subject.weights)
    else:
        generator = Generator(subject.space, subject.latent_dim, subject.mapping_layers)
    return generator.eval().requires_grad_(False).to(machine.device(config.accelerator))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
