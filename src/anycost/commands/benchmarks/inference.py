"""`anycost benchmark inference`: frozen sub-generators against the plain definition, from w to the image.

    anycost benchmark inference model=config_f model.resolution=1024 architectures=full,0.5@512,0.25@256
    anycost benchmark inference weights=logs/train/runs/NAME dtypes=float32 threads=1
    anycost benchmark inference weights=FILE architectures=RUN/search/NAME/result.json batch_size=16

The plain definition is the official code's: grouped convolutions over modulated weights, NCHW, float32. Both run in
turn, round by round; times are medians. `of peak` compares with the best convolution of the same rounds. A table, then
one JSON object per line. model= has random weights: for PSNR their pictures are scaled to a deviation of 0.5.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from anycost.commands import machine
from anycost.commands.arguments import parse
from anycost.commands.benchmarks.subject import Subject, model_help, open_subject, split_model
from anycost.configuration.fields import option

if TYPE_CHECKING:
    from anycost.benchmarks.inference import InferenceResult
    from anycost.networks.generator import Generator

_WIDTH = 120


@dataclass
class InferenceConfig:
    """Whose architectures, which, and how they run."""

    weights: str | None = option(None, "weights file, run folder or pipeline folder", path=True)
    architectures: list[str] = option(["full"], "full, 0.5@512, FILE.json, FILE.json:NAME, ...")
    dtypes: list[str] = option([], "float32, bfloat16; on a GPU tf32, float16 too; default: the fast ones")
    batch_size: int = option(1, "pictures of one call", at_least=1)
    rounds: int = option(7, "timed calls of each", at_least=1)
    threads: int | None = option(None, "CPU threads; default: the cores", at_least=1)
    compile: bool = option(False, "torch.compile the frozen ones; CUDA graphs on a GPU")
    accelerator: str = option("auto", "where to compute", ("auto", "cpu", "gpu"))


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the table."""
    about_model, others = split_model(arguments)
    config = parse(InferenceConfig, others, __doc__)
    if config is None:
        print(model_help())
        return 0
    subject = open_subject(config.weights, about_model)
    architectures = subject.architectures(config.architectures)
    device = machine.device(config.accelerator)
    import torch

    from anycost.benchmarks.inference import check_dtypes, measure
    from anycost.pricing.executors import Conditions, processor_name

    dtypes = check_dtypes(config.dtypes, device)
    torch.set_num_threads(machine.threads(config.threads))
    generator = _generator(subject).to(device)
    trained = subject.weights is not None
    result = measure(generator, architectures, dtypes, config.batch_size, config.rounds, config.compile, trained, _say)
    name = processor_name(device)
    conditions = Conditions("frozen", name, torch.get_num_threads(), ", ".join(dtypes), config.batch_size)
    print(f"{subject.name} on {conditions}; medians of {result.rounds} rounds")
    _print_table(result)
    about = {"benchmark": "inference", "device": name, "threads": torch.get_num_threads(), "torch": torch.__version__,
             "batch_size": config.batch_size, "rounds": result.rounds, "compile": config.compile}  # fmt: skip
    for row in result.rows:
        print(json.dumps({**about, **asdict(row), "ratio": row.ratio, "peak_flops": result.peaks[row.dtype]}))
    return 0


def _generator(subject: Subject) -> "Generator":
    """The generator of the weights, or one of random weights, the same every time, with noise that counts."""
    import torch

    from anycost.interchange.locating import open_generator
    from anycost.networks.generator import Generator

    if subject.weights is not None:
        return open_generator(subject.weights)[0].eval().requires_grad_(False)
    torch.manual_seed(0)
    generator = Generator(subject.space, subject.latent_dim, subject.mapping_layers).eval().requires_grad_(False)
    for layer in generator.styled_layers:
        layer.noise_strength.fill_(0.1)
    return generator


def _print_table(result: "InferenceResult") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for head in ("architecture", "GMAC", "dtype", "plain ms", "frozen ms", "ratio", "error", "PSNR", "of peak",
                 "plain MiB", "MiB"):  # fmt: skip
        table.add_column(head, justify="left" if head in ("architecture", "dtype") else "right", no_wrap=True)
    for row in result.rows:
        table.add_row(
            row.architecture, f"{row.macs / 1e9:.2f}", row.dtype, f"{row.plain_ms:.1f}", f"{row.ms:.1f}",
            f"{row.ratio:.2f}", f"{row.relative_error:.1e}", f"{row.psnr_db:.1f}", f"{row.share_of_peak:.0%}",
            _mib(row.plain_weight_bytes, row.plain_call_bytes), _mib(row.weight_bytes, row.call_bytes),
        )  # fmt: skip
    console = Console()
    (console if console.is_terminal else Console(width=_WIDTH)).print(table)
    peaks = ", ".join(f"{dtype} {peak / 1e9:.0f} GFLOP/s" for dtype, peak in result.peaks.items())
    print(f"Peak, the best convolution: {peaks}.")
    print("error: the largest difference, of the largest value. PSNR in dB. MiB: weights + what a first call takes.")


def _mib(weights: int, call: int | None) -> str:
    return f"{weights >> 20} + {'?' if call is None else call >> 20}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
