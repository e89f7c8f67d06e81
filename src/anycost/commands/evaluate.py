"""`anycost evaluate`: measure sub-generators, or pictures from elsewhere, by named metric protocols.

    anycost evaluate weights=logs/train/runs/NAME metrics=[fd5k_embedded,consistency_embedded]
    anycost evaluate weights=FILE metrics=fid50k_full architectures=[full,0.5@128,found.json] data=ffhq devices=8
    anycost evaluate images=pictures.zip data=faces metrics=fd1k_embedded

The data is that of the training (config.yaml beside the weights), or data=NAME data.KEY=VALUE as in training; without
data=, data.KEY=VALUE changes what the training says. Work is saved every half minute: the same command continues after
a kill, also with another number of processes. What is recorded already is not measured again.
"""

import json
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anycost.commands.arguments import check_once, parse
from anycost.configuration.fields import option
from anycost.errors import UserError

if TYPE_CHECKING:
    from anycost.networks.generator import Generator


@dataclass
class EvaluateConfig:
    """What is measured, on what, with what."""

    weights: str | None = option(None, "weights file, run folder, pipeline folder, or OWNER/NAME on the hub", path=True)
    images: str | None = option(None, "folder, zip or LMDB of pictures, instead of weights", path=True)
    metrics: list[str] = option([], "names of metric protocols, with commas: fd5k_embedded, fid50k_full, ...")
    architectures: list[str] = option(
        ["auto"], "full, 0.5, 0.5@128, FILE.json; auto: full and the other uniform ones, at the full resolution"
    )
    output: str | None = option(
        None, "folder of records.jsonl; default: RUN/evaluation, or logs/evaluate/NAME-HASH", path=True
    )
    batch_size: int = option(32, "images per forward pass", at_least=1)
    devices: int = option(1, "processes on this machine; each takes whole shards", at_least=1)
    accelerator: str = option("auto", "where to compute", ("auto", "cpu", "gpu"))
    threads: int | None = option(None, "CPU threads of each process; default: the cores divided by them", at_least=1)
    shards: int = option(8, "parts of the samples, which processes share out", at_least=1)
    seed: int = option(0, "first seed of the samples", at_least=0)
    resume: str = option("auto", "auto: continue, and keep what is recorded; never: all anew", ("auto", "never"))
    cache: str | None = option(
        None, "statistics of real images; default: $ANYCOST_CACHE or ~/.cache/anycost", path=True
    )


def main(arguments: Sequence[str]) -> int:
    """Evaluate what the arguments say, print the table and name the records."""
    check_once(arguments)
    own = [one for one in arguments if not is_data(one)]
    config = parse(EvaluateConfig, own, __doc__)
    if config is None:
        print("  data=..., data.KEY=...  the real images, as in `anycost train` (`anycost options data`)")
        return 0
    if not config.metrics:
        raise UserError("metrics=... is needed: names of metric protocols, for example metrics=fd5k_embedded")
    if (config.weights is None) == (config.images is None):
        raise UserError("weights=... or images=... is needed, one of them: what is to be measured")
    if config.images is not None and config.architectures != ["auto"]:
        raise UserError("architectures=... are those of a generator, and images=... has none; leave one of them out")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    return _evaluate(config, arguments)


def _evaluate(config: EvaluateConfig, arguments: Sequence[str]) -> int:
    """The heavy part, with what it imports."""
    from anycost.commands.evaluate_setup import prepare
    from anycost.evaluation.evaluate import RECORDS, evaluate
    from anycost.evaluation.processes import launched_team, local_team
    from anycost.evaluation.progress import Meter
    from anycost.evaluation.results import footnote, results_table
    from anycost.processes import end_with_parent

    end_with_parent()
    launched = launched_team()
    prepared = prepare(config, [one for one in arguments if is_data(one)], launched)
    meter = Meter(quiet=launched is not None and not launched.leads)
    with ExitStack() as stack:
        work = prepared.output / "work"
        team = launched or stack.enter_context(local_team(config.devices, "anycost.commands.evaluate", arguments, work))
        values = evaluate(prepared.plan, prepared.output, team, meter, again=config.resume == "never")
    if team.leads:
        if prepared.generator is not None:
            write_generator(prepared.generator, prepared.output)
        meter.console.print(results_table(values, prepared.generator), soft_wrap=False)
        if note := footnote(values):
            meter.say(note)
        meter.say(f"records: {prepared.output / RECORDS}")
    return 0


def write_generator(generator: "Generator", output: Path) -> None:
    """Say beside the records what was measured, so that `anycost report` can price it where no weights lie."""
    from anycost.files import atomic_write

    model = {"latent_dim": generator.latent_dim, "mapping_layers": len(generator.mapping.layers)}
    with atomic_write(output / "generator.json", "w") as file:
        json.dump({"space": asdict(generator.space), "model": model}, file, indent=1)


def is_data(argument: str) -> bool:
    """Whether an argument chooses the real images."""
    return argument.startswith(("data=", "data."))


if __name__ == "__main__":
    from anycost.commands import main as command_line

    sys.exit(command_line(["evaluate", *sys.argv[1:]]))
