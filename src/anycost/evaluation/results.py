"""The table at the end of an evaluation: one row per architecture, its price and every value."""

from collections.abc import Sequence

from rich.table import Table

from anycost.architecture import Architecture
from anycost.metrics.records import Measurement
from anycost.metrics.summary import readable_count
from anycost.networks.generator import Generator
from anycost.pricing.macs import macs, macs_paper

BIASED = "* biased upwards: fewer images than feature dimensions; compare with values of as many images only"


def results_table(measurements: Sequence[Measurement], generator: Generator | None) -> Table:
    """Rows are architectures, in the order of the measurements; prices where there is a `generator`."""
    measurements = headline(measurements)
    metrics = list(dict.fromkeys(one.metric for one in measurements))
    price_columns = ["MACs", "MACs (paper)"] if generator else []
    table = Table("architecture" if generator else "images", *price_columns, *metrics)
    for column in table.columns:
        column.justify, column.overflow = "left" if column is table.columns[0] else "right", "fold"
    for label, architecture in {one.label: one.architecture for one in measurements}.items():
        found = {one.metric: one for one in measurements if one.label == label}
        prices = _prices(generator, architecture) if generator else []
        table.add_row(label, *prices, *(_cell(found.get(metric)) for metric in metrics))
    return table


def headline(measurements: Sequence[Measurement]) -> list[Measurement]:
    """What fits into a table: of a protocol with a mean over many parts (attributes), the mean alone."""
    with_mean = {one.protocol.name for one in measurements if not one.part}
    return [one for one in measurements if not one.part or one.protocol.name not in with_mean]


def footnote(measurements: Sequence[Measurement]) -> str:
    """What the stars in the table mean; empty where there are none."""
    return BIASED if any(one.biased for one in measurements) else ""


def _prices(generator: Generator, architecture: Architecture) -> list[str]:
    counts = (
        macs(generator.space, architecture, generator.latent_dim, len(generator.mapping.layers)),
        macs_paper(generator.space, architecture, generator.latent_dim, len(generator.mapping.layers)),
    )
    return [readable_count(count) for count in counts]


def _cell(one: Measurement | None) -> str:
    if one is None:
        return "-"
    error = "" if not one.error else f" ± {one.error:.1g}"
    return f"{one.value:.4g}{error}{'*' if one.biased else ''}"
