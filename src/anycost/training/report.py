"""What a finished run prints: one row per architecture, and where grid and weights lie."""

from rich.console import Console

from anycost.files import atomic_write
from anycost.interchange.weights import build_generator, read_weights
from anycost.metrics.records import read_measurements
from anycost.metrics.summary import markdown_table, rich_table, summarise
from anycost.runs import RunDir


def report(run: RunDir) -> None:
    """Print the table of the newest measurements of `run`, write it to `summary.md`, and name the result files."""
    console = Console()
    measurements = read_measurements(run.path / "metrics.jsonl") if (run.path / "metrics.jsonl").exists() else []
    if measurements:
        summary = summarise(build_generator(*read_weights(run.weights)), measurements)
        console.print(rich_table(summary))
        with atomic_write(run.path / "summary.md", "w") as file:
            file.write(markdown_table(summary))
    grids = sorted(run.grids.glob("kimg_*.png"))
    if grids:
        console.print(f"grid:    {grids[-1]}", soft_wrap=True, highlight=False)
    console.print(f"weights: {run.weights}", soft_wrap=True, highlight=False)
