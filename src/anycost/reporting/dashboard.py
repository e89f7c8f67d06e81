"""What a dashboard shows of a run beside its logged values: rows of tables, and `best` and `last` of every metric."""

from collections.abc import Mapping, Sequence
from typing import Any

from anycost.architecture import Architecture
from anycost.metrics.records import Measurement
from anycost.pricing.price_list import PriceList
from anycost.reporting.groups import is_better

RECORD_COLUMNS = [
    "kimg", "metric", "architecture", "value", "biased", "resolution", "MACs", "MACs (paper)", "parameters",
    "samples", "features", "data",
]  # fmt: skip
PRICE_COLUMNS = ["architecture", "resolution", "MACs", "MACs (paper)", "parameters", "activation MiB"]


def record_rows(measurements: Sequence[Measurement], prices: PriceList) -> list[list[Any]]:
    """One row per measurement, in `RECORD_COLUMNS`."""
    rows = []
    for one in measurements:
        price = prices.price(one.architecture)
        rows.append([
            one.images / 1000, one.metric, one.label, one.value, one.biased, one.architecture.resolution, price.macs,
            price.macs_paper, price.parameters, one.protocol.samples, one.protocol.features, one.data,
        ])  # fmt: skip
    return rows


def price_rows(architectures: Mapping[str, Architecture], prices: PriceList) -> list[list[Any]]:
    """One row per architecture, in `PRICE_COLUMNS`."""
    priced = {label: (one, prices.price(one)) for label, one in architectures.items()}
    return [
        [label, one.resolution, price.macs, price.macs_paper, price.parameters, price.activation_bytes / 2**20]
        for label, (one, price) in priced.items()
    ]


def curve_rows(measurements: Sequence[Measurement]) -> dict[str, list[list[Any]]]:
    """`{metric: [[architecture, kimg, value], ...]}`: the points of a chart with one line per architecture."""
    curves: dict[str, list[list[Any]]] = {}
    for one in sorted(measurements, key=lambda one: one.images):
        curves.setdefault(one.metric, []).append([one.label, one.images / 1000, one.value])
    return curves


def best_and_last(measurements: Sequence[Measurement]) -> dict[str, dict[str, float]]:
    """`{"best": {"<metric>_<architecture>": value}, "last": {...}}`, each with the `kimg` of the values.

    `last` is the newest measurement of all; `best` is all that was measured at the one image count where the first
    metric of the first architecture (by default the full one) was best: values of one set of weights.
    """
    first = measurements[0]
    best = first
    for one in measurements:
        if one.key == first.key and is_better(one, best):
            best = one
    return {"best": _at(measurements, best.images), "last": _at(measurements, max(one.images for one in measurements))}


def _at(measurements: Sequence[Measurement], images: int) -> dict[str, float]:
    own = {one.key.removeprefix("metrics/"): one.value for one in measurements if one.images == images}
    return {"kimg": images / 1000, **own}
