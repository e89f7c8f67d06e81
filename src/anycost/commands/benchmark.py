"""`anycost benchmark NAME ...`: what architectures cost, and how fast this machine is.

    anycost benchmark price model=config_f model.resolution=1024 architecture=0.5@256
    anycost benchmark latency weights=logs/train/runs/NAME
    anycost benchmark training
    anycost benchmark NAME --help       the options of one
"""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from anycost.errors import UserError

BENCHMARKS = {
    "price": "multiply-adds, parameters and activation memory of architectures, without running them",
    "latency": "milliseconds and pictures per second at several budgets, measured and predicted",
    "inference": "frozen sub-generators: speed, error, memory, against the plain definition and the peak",
    "search": "evolution, random search and NSGA-II at equal evaluations, against the true optimum",
    "scaling": "what data-parallel training costs on paper: operations, bytes all-reduced, efficiency, GPU hours",
    "training": "speed and memory of adaptive-channel steps, against the plain definition of the same step",
}  # each is a module of commands/benchmarks


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark named first."""
    name, *rest = arguments or [""]
    if name in ("-h", "--help"):
        print((__doc__ or "").strip())
        print("\n" + "\n".join(f"  {key:<9} {summary}" for key, summary in BENCHMARKS.items()))
        return 0
    if not name:
        raise UserError(f"anycost benchmark needs the name of a benchmark: {', '.join(BENCHMARKS)}")
    if name not in BENCHMARKS:
        close = get_close_matches(name, BENCHMARKS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(BENCHMARKS)}"
        raise UserError(f"anycost benchmark {name} does not exist; {hint}")
    return import_module(f"anycost.commands.benchmarks.{name}").main(rest)
