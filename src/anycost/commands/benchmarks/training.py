"""`anycost benchmark training`: speed and memory of adaptive-channel steps on this machine's CPU.

    anycost benchmark training
    anycost benchmark training resolutions=32 precisions=bf16-mixed rounds=5 threads=2

The plain definition of the same step (grouped convolutions over modulated weights, every resolution rendered, fp32)
runs in the same process, round by round in turn. Close other programs: both are compared on what is left.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from anycost.commands.arguments import parse
from anycost.configuration.fields import option
from anycost.errors import UserError


@dataclass
class TrainingConfig:
    """Which rows of the table to measure."""

    resolutions: list[str] = option(["32", "64", "128"], "rows: 32, 64, 128")
    precisions: list[str] = option(["32", "bf16-mixed"], "32, bf16-mixed")
    rounds: int = option(3, "timed rounds of 16 steps of either definition", at_least=1)
    threads: int = option(2, "CPU threads", at_least=1)


def main(arguments: Sequence[str]) -> int:
    """Print the table, row by row as it grows."""
    config = parse(TrainingConfig, arguments, __doc__)
    if config is None:
        return 0
    from anycost.benchmarks.training import CASES, measure, table

    unknown = set(config.resolutions) - {str(r) for r in CASES} or set(config.precisions) - {"32", "bf16-mixed"}
    if unknown:
        raise UserError(f"{unknown.pop()} has no row; resolutions=32,64,128 and precisions=32,bf16-mixed do")
    done = []
    for resolution in config.resolutions:
        for precision in config.precisions:
            print(f"measuring {resolution} px, {precision} ...", file=sys.stderr, flush=True)
            done.append(measure(CASES[int(resolution)], precision, config.rounds, config.threads))
    print(table(done))
    return 0
