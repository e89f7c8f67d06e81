"""The tables of a report: architectures against runs, one protocol a table, prices beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from anycost.metrics.records import Measurement
from anycost.metrics.summary import readable_count
from anycost.pricing.price_list import Price
from anycost.reporting.groups import Group, Quantity, Value

_MOST_COLUMNS = 4
"""More groups of runs than this stand in rows, and architectures in columns."""
BIASED = "†"


@dataclass(frozen=True)
class Entry:
    """One architecture of a table: equal labels of different generators are different entries."""

    label: str
    price: Price | None

    @property
    def costs(self) -> list[str]:
        """MACs, MACs in the paper's convention, parameters."""
        if self.price is None:
            return ["-", "-", "-"]
        return [readable_count(one) for one in (self.price.macs, self.price.macs_paper, self.price.parameters)]


def entries(groups: Sequence[Group], quantity: Quantity) -> dict[Entry, dict[int, Measurement]]:
    """What was measured: architectures in order of appearance, with a measurement for each group's position."""
    found: dict[Entry, dict[int, Measurement]] = {}
    for position, group in enumerate(groups):
        for label, measurement in group.architectures(quantity).items():
            found.setdefault(Entry(label, price_of(group, measurement)), {})[position] = measurement
    return found


def price_of(group: Group, measurement: Measurement) -> Price | None:
    """What the measured architecture costs in the group's generator; None where that is not known."""
    return group.runs[0].price(measurement.architecture)


def value_table(groups: Sequence[Group], quantity: Quantity) -> str:
    """Newest values: architectures in rows, groups in columns; the other way round where there are many groups."""
    columns = [group for group in groups if group.architectures(quantity)]
    values = [group.last(quantity) for group in columns]
    found = entries(columns, quantity)
    cells = {
        entry: [
            cell(values[position].get(entry.label), columns[position]) if position in places else "-"
            for position in range(len(columns))
        ]
        for entry, places in found.items()
    }
    names = [group.label() for group in columns]
    if len(columns) <= _MOST_COLUMNS:
        header = ["architecture", "MACs", "MACs (paper)", "parameters", *names]
        return markdown(header, [[entry.label, *entry.costs, *row] for entry, row in cells.items()])
    rows = [[title, *(entry.costs[k] for entry in cells)] for k, title in enumerate(("MACs", "MACs (paper)"))]
    rows += [[name, *(row[position] for row in cells.values())] for position, name in enumerate(names)]
    return markdown(["run", *(entry.label for entry in cells)], rows)


def best_table(groups: Sequence[Group], quantity: Quantity) -> str:
    """Best and last values side by side; empty where everything was measured once."""
    rows = []
    for group in groups:
        best, last = group.best(quantity), group.last(quantity)
        for label, value in best.items():
            if len(group.curve(quantity, label)) > 1:
                at = [f"{one.kimg:.4g}" for one in (value, last[label])]
                rows.append([group.label(), label, cell(value, group), at[0], cell(last[label], group), at[1]])
    return markdown(["run", "architecture", "best", "at kimg", "last", "at kimg"], rows, left=2) if rows else ""


def cell(value: Value | None, group: Group) -> str:
    """The value of a group of runs, `-` where there is none."""
    return "-" if value is None else cell_text(value, len(group.runs))


def cell_text(value: Value, seeds: int) -> str:
    """`2.84`, `2.84 ± 0.12` over all seeds, `2.84 ± 0.12 (n=2)` over fewer, `†` where biased; 0 is 0 by definition."""
    text = mean_text(value)
    if not isnan(value.std) and (value.mean or value.std):
        text += f" ± {value.std:.2g}"
    if value.count < seeds:
        text += f" (n={value.count})"
    return text + (f" {BIASED}" if value.biased else "")


def mean_text(value: Value) -> str:
    """The mean with four digits."""
    return f"{value.mean:.4g}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table whose first `left` columns are aligned left; ends with a newline."""
    ruler = ["---"] * left + ["---:"] * (len(header) - left)
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ruler, *rows))
