"""The table at the end of a training: what each architecture costs and how good it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from rich.table import Table

from anycost.architecture import Architecture
from anycost.networks.generator import Generator
from anycost.pricing.latency import median_latency_ms
from anycost.pricing.macs import macs
from anycost.sampling import seeded_latents


@dataclass(frozen=True)
class SummaryRow:
    """One architecture. `distance` and `consistency` are None where they were not measured."""

    label: str
    macs: int
    distance: float | None
    consistency: float | None
    latency_ms: float


def summarise(
    generator: Generator,
    architectures: Sequence[Architecture],
    distances: Sequence[float | None],
    consistencies: Sequence[float | None],
) -> list[SummaryRow]:
    """One row an architecture, in the order given; latency is of one image, on the generator's device."""
    space, layers = generator.space, len(generator.mapping.layers)
    return [
        SummaryRow(
            label=space.label(architecture),
            macs=macs(space, architecture, generator.latent_dim, layers),
            distance=distance,
            consistency=consistency,
            latency_ms=median_latency_ms(_one_image(generator, architecture), device=generator.constant.device),
        )
        for architecture, distance, consistency in zip(architectures, distances, consistencies, strict=True)
    ]


def _one_image(generator: Generator, architecture: Architecture) -> Callable[[], object]:
    latents = seeded_latents(generator, [0])

    @torch.no_grad()
    def call() -> object:
        return generator(latents, architecture)

    return call


def columns(distance_name: str, consistency_name: str) -> list[str]:
    return ["architecture", "MACs", distance_name, consistency_name, "ms"]


def cells(row: SummaryRow) -> list[str]:
    """The row as text, in the order of `columns`."""
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


def rich_table(rows: Sequence[SummaryRow], distance_name: str, consistency_name: str) -> Table:
    """For terminals; names are those of the metric protocols."""
    table = Table(*columns(distance_name, consistency_name))
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*cells(row))
    return table


def markdown_table(rows: Sequence[SummaryRow], distance_name: str, consistency_name: str) -> str:
    """For files; ends with a newline."""
    header = columns(distance_name, consistency_name)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *map(cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
