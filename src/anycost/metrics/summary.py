"""The table at the end of a training: what each architecture costs and how good it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.table import Table

from anycost.architecture import Architecture
from anycost.metrics.records import Measurement
from anycost.networks.generator import Generator
from anycost.pricing.latency import device_name, median_latency_ms
from anycost.pricing.macs import macs
from anycost.sampling import seeded_latents

TIMED_SECONDS = 0.5


@dataclass(frozen=True)
class SummaryRow:
    """One architecture: multiply-adds, milliseconds for one image, and what was measured (None: it was not)."""

    label: str
    macs: int
    distance: float | None
    consistency: float | None
    latency_ms: float


@dataclass(frozen=True)
class Summary:
    """The rows, with the names of the metric protocols behind `distance` and `consistency` and the device timed."""

    rows: list[SummaryRow]
    distance: str
    consistency: str
    device: str

    @property
    def header(self) -> list[str]:
        return ["architecture", "MACs", self.distance, self.consistency, "ms"]


def summarise(generator: Generator, measurements: Sequence[Measurement]) -> Summary:
    """One row for each architecture of the newest measurements, in their order; times them on the generator's device.

    The distance is the first metric that is not the consistency.
    """
    newest = [one for one in measurements if one.images == measurements[-1].images]
    distances = _first_metric([one for one in newest if one.protocol.kind != "consistency"])
    consistencies = _first_metric([one for one in newest if one.protocol.kind == "consistency"])
    mapping_layers = len(generator.mapping.layers)
    rows = [
        SummaryRow(
            label=label,
            macs=macs(generator.space, architecture, generator.latent_dim, mapping_layers),
            distance=distances[label].value if label in distances else None,
            consistency=consistencies[label].value if label in consistencies else None,
            latency_ms=_latency_ms(generator, architecture),
        )
        for label, architecture in {one.label: one.architecture for one in newest}.items()
    ]
    return Summary(rows, _name(distances), _name(consistencies), device_name(generator.constant.device))


def _first_metric(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    return {one.label: one for one in measurements if one.protocol == measurements[0].protocol}


def _name(found: dict[str, Measurement]) -> str:
    return next(iter(found.values())).protocol.name if found else "-"


def _latency_ms(generator: Generator, architecture: Architecture) -> float:
    """Median time of one image over about `TIMED_SECONDS`, at least five times."""
    latents, device = seeded_latents(generator, [0]), generator.constant.device

    @torch.no_grad()
    def one_image() -> object:
        return generator(latents, architecture)

    once = median_latency_ms(one_image, warmup=2, repeats=1, device=device)
    return median_latency_ms(one_image, warmup=0, repeats=max(int(1000 * TIMED_SECONDS / once), 5), device=device)


def rich_table(summary: Summary) -> Table:
    """For terminals."""
    table = Table(*summary.header)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in summary.rows:
        table.add_row(*_cells(row))
    return table


def markdown_table(summary: Summary) -> str:
    """For files; ends with a newline."""
    ruler = ["---", *["---:"] * (len(summary.header) - 1)]
    lines = [summary.header, ruler, *map(_cells, summary.rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(row: SummaryRow) -> list[str]:
    return [
        row.label,
        readable_count(row.macs),
        "-" if row.distance is None else f"{row.distance:.4g}",
        "-" if row.consistency is None else f"{row.consistency:.4f}",
        f"{row.latency_ms:.2f}",
    ]


def readable_count(number: int) -> str:
    """Three digits and a unit: 74266894336 -> `74.3 G`."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
