"""Latency at several budgets, measured and predicted: the paper's Table 4 for the machine at hand."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.pricing.executors import Conditions, Execution, executor, running_under
from anycost.pricing.latency import in_rounds, latency_ms
from anycost.pricing.latency_table import LatencyTable
from anycost.pricing.price_list import Price, PriceList

REDUCTIONS = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)  # of the paper's Table 4
BUSY = 1.15  # `ms` over `quiet_ms` above which a machine is said to have been busy


@dataclass(frozen=True)
class Row:
    """One line of the table: what was asked for, what runs, what it took.

    Args:
        reduction: asked for; None where the architecture itself was asked for.
        budget: multiply-adds in the paper's convention that the reduction allows; None likewise.
        ms: median over the rounds of one call (`batch_size` pictures), alone on the device.
        quiet_ms: the sum of each layer's least time over the rounds: what the call needs when nothing else runs,
            and what a prediction is compared with. On a quiet machine it is hardly less than `ms`.
        predicted_ms: of a `LatencyTable`; None: there is none.
    """

    name: str
    architecture: Architecture
    price: Price
    reduction: float | None = None
    budget: float | None = None
    ms: float = 0.0
    quiet_ms: float = 0.0
    predicted_ms: float | None = None

    @property
    def error(self) -> float | None:
        return None if self.predicted_ms is None else self.predicted_ms / self.quiet_ms - 1


@dataclass(frozen=True)
class LatencyResult:
    """The rows, the first being the full generator, under which conditions, in how many rounds."""

    rows: list[Row]
    conditions: Conditions
    rounds: int
    table: LatencyTable | None = None

    @property
    def busy(self) -> float:
        """Median over the rows of `ms` / `quiet_ms`: about 1 on a quiet machine."""
        return statistics.median(row.ms / row.quiet_ms for row in self.rows)

    @property
    def error(self) -> float:
        """Median over the distinct rows of |predicted - quiet| / quiet."""
        errors = {row.architecture.key: abs(row.error) for row in self.rows if row.error is not None}
        return statistics.median(errors.values())


def uniform_architectures(space: ArchitectureSpace) -> dict[str, Architecture]:
    """All uniform architectures by their labels."""
    return {space.label(one): one for one in space.enumerate("uniform")}


def rows_for_reductions(
    prices: PriceList, candidates: Mapping[str, Architecture], reductions: Sequence[float]
) -> tuple[list[Row], list[str]]:
    """For each reduction of the full generator's `macs_paper`, the dearest candidate that fits; and what has none.

    Of two equally dear ones, the first.
    """
    full = prices.price(prices.space.full())
    priced = [Row(name, one, prices.price(one)) for name, one in candidates.items()]
    cheapest = min(priced, key=lambda row: row.price.macs_paper)
    rows, missing = [], []
    for reduction in reductions:
        budget = full.macs_paper / reduction
        fitting = [row for row in priced if row.price.macs_paper <= budget]
        if not fitting:
            missing.append(
                f"{reduction:g}x: {budget / 1e9:.4g} Gmac_paper is below the cheapest candidate, {cheapest.name} with "
                f"{cheapest.price.macs_paper / 1e9:.4g} ({full.macs_paper / cheapest.price.macs_paper:.1f}x)"
            )
            continue
        best = max(fitting, key=lambda row: row.price.macs_paper)
        rows.append(Row(best.name, best.architecture, best.price, reduction, budget))
    return rows, missing


def rows_of(prices: PriceList, architectures: Mapping[str, Architecture]) -> list[Row]:
    """The architectures themselves, dearest first."""
    rows = [Row(name, one, prices.price(one)) for name, one in architectures.items()]
    return sorted(rows, key=lambda row: -row.price.macs_paper)


def positive_reductions(texts: Sequence[str]) -> list[float]:
    """`["1", "2.5"]` as numbers; `UserError` for what is no reduction."""
    try:
        found = [float(text) for text in texts]
    except ValueError as error:
        raise UserError(f"reductions={','.join(texts)} are not numbers: for example reductions=1,2,4") from error
    if not all(1 <= one < float("inf") for one in found):
        raise UserError(f"reductions={','.join(texts)} must be 1 or more: 2 means half the multiply-adds")
    return found


def measure(
    generator: Generator,
    rows: Sequence[Row],
    conditions: Conditions,
    seconds: float,
    table: LatencyTable | None = None,
    report: Callable[[str], None] | None = None,
) -> LatencyResult:
    """Time the architectures of all rows in turn, for about `seconds`; equal ones once."""
    device = generator.constant.device
    distinct = {row.architecture.key: row.architecture for row in rows}
    with running_under(conditions, device):
        ready = list(map(executor(generator, conditions), distinct.values()))
        times = in_rounds([partial(_once, one, device) for one in ready], seconds, report)
    measured = dict(zip(distinct, times, strict=True))
    done = [_timed(row, measured[row.architecture.key], table) for row in rows]
    return LatencyResult(done, conditions, len(times[0]), table)


def _once(ready: Execution, device: torch.device) -> tuple[float, list[float]]:
    """Milliseconds of one whole call, and of the parts of another."""
    return latency_ms(ready.run, device), ready.parts_ms()


def _timed(row: Row, times: Sequence[tuple[float, list[float]]], table: LatencyTable | None) -> Row:
    wholes, parts = zip(*times, strict=True)
    quiet_ms = sum(min(part) for part in zip(*parts, strict=True))
    predicted_ms = None if table is None else table.predict_ms(row.architecture)
    return replace(row, ms=statistics.median(wholes), quiet_ms=quiet_ms, predicted_ms=predicted_ms)


# ---- output


def markdown(result: LatencyResult) -> str:
    """The table, with what it was measured on above it and how to read it below."""
    wanted = result.conditions
    head = ["reduction", "budget", "architecture", "px", "MACs", "MACs (paper)", "ms", "FPS", "speed-up", "quiet ms"]
    if result.table is not None:
        head += ["predicted ms", "error"]
    lines = [f"executor {wanted.executor} on {wanted}; {result.rounds} rounds, all rows in turn", ""]
    lines += ["| " + " | ".join(head) + " |", "|---:|---:|---|" + "---:|" * (len(head) - 3)]
    lines += ["| " + " | ".join(_cells(row, result)) + " |" for row in result.rows]
    lines += ["", f"ms: median of one call{_pictures(wanted.batch_size)}; FPS and speed-up come from it."]
    lines.append("quiet ms: with the least time of every layer, as if nothing else ran.")
    if result.table is not None:
        lines.append(f"predicted ms: from layers of other architectures; median error here {result.error:.1%}.")
        lines.append(f"The table of layers: {result.table.error}.")
    if result.busy > BUSY:
        lines.append(
            f"This machine was busy: ms is {result.busy:.2f} times the quiet ms, and FPS and speed-up suffer likewise. "
            "Close other programs and repeat."
        )
    return "\n".join(lines)


def _pictures(batch_size: int) -> str:
    return f", which makes {batch_size} pictures" if batch_size > 1 else ""


def _cells(row: Row, result: LatencyResult) -> list[str]:
    first = result.rows[0]
    cells = [
        f"{first.price.macs_paper / row.price.macs_paper:.2f}x" if row.reduction is None else f"{row.reduction:g}x",
        "" if row.budget is None else f"{_amount(row.budget)}mac_paper",
        row.name,
        str(row.architecture.resolution),
        _amount(row.price.macs),
        _amount(row.price.macs_paper),
        f"{row.ms:.2f}",
        f"{_fps(row, result):.3g}",
        f"{first.ms / row.ms:.2f}x",
        f"{row.quiet_ms:.2f}",
    ]
    if row.predicted_ms is not None and row.error is not None:
        cells += [f"{row.predicted_ms:.2f}", f"{row.error:+.1%}"]
    return cells


def _fps(row: Row, result: LatencyResult) -> float:
    return 1000 * result.conditions.batch_size / row.ms


def _amount(count: float) -> str:
    return f"{count / 1e9:.2f} G" if count >= 1e9 else f"{count / 1e6:.2f} M"


def to_json(result: LatencyResult) -> dict[str, Any]:
    """The table as plain values, with the architectures themselves."""
    return {
        "benchmark": "latency",
        "conditions": asdict(result.conditions),
        "rounds": result.rounds,
        "rows": [
            {
                "reduction": row.reduction,
                "budget_macs_paper": row.budget,
                "architecture": row.name,
                **row.architecture.to_json(),
                "macs": row.price.macs,
                "macs_paper": row.price.macs_paper,
                "ms": row.ms,
                "fps": _fps(row, result),
                "speed_up": result.rows[0].ms / row.ms,
                "quiet_ms": row.quiet_ms,
                "predicted_ms": row.predicted_ms,
                "error": row.error,
            }
            for row in result.rows
        ],
        "prediction": None if result.table is None else asdict(result.table.error),
    }
