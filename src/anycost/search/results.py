"""What a search leaves: the official JSON layout with our record, the front as a table, and rows to print."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anycost import __version__
from anycost.files import atomic_write
from anycost.search.archive import Evaluation
from anycost.search.budget import Budget
from anycost.search.searching import SearchResult


def write_result(result: SearchResult, record: dict[str, Any], path: Path) -> None:
    """`{"18G": {"channels", "dist", "res", "macs", "anycost"}, ...}`, the layout of the official evolved configs.

    `macs` is in the paper's convention, as in the official file; `anycost` holds the rest: the budget in full, the
    architecture with its ratios, all prices, and `record` (weights, protocol of the distance, ...). The file can be
    given at once wherever an architecture is asked for: `architectures=result.json:18G`.
    """
    common = {
        **record,
        "method": asdict(result.settings),
        "evaluations": len(result.archive),
        "version": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    entries = {
        budget.name: {
            "channels": list(found.architecture.channels),
            "dist": found.distance,
            "res": found.architecture.resolution,
            "macs": found.price.macs_paper,
            "anycost": {"budget": str(budget), **_entry(found), "uniform": _uniform(result, budget), **common},
        }
        for budget, found in result.winners.items()
    }
    with atomic_write(path, "w") as file:
        json.dump(entries, file, indent=2)


def _entry(one: Evaluation) -> dict[str, Any]:
    return {"architecture": one.architecture.to_json(), "price": asdict(one.price)}


def _uniform(result: SearchResult, budget: Budget) -> dict[str, Any] | None:
    """The best uniform one that fits, for comparison."""
    best = result.best_uniform[budget]
    if best is None:
        return None
    return {"label": uniform_label(result, best), **_entry(best), "distance": best.distance}


def uniform_label(result: SearchResult, one: Evaluation) -> str:
    """`0.5@32`."""
    return result.archive.space.label(one.architecture)


COLUMNS = (
    "architecture", "resolution", "channels", "macs", "macs_paper", "parameters", "activation_bytes", "latency_ms",
    "distance", "front_macs", "front_ms", "uniform", "budgets",
)  # fmt: skip


def write_front(result: SearchResult, path: Path, field: str) -> None:
    """The data behind the plots as CSV: the fronts, the uniform architectures and the winners, cheapest first.

    `front_macs` and `front_ms` (1 or 0) say whether nothing of the same or lower cost is closer to the full
    generator; the first is over `field`, the convention that is plotted.
    """
    archive = result.archive
    timed = archive.front("latency_ms") if has_latency(result) else []
    fronts = {"front_macs": archive.front(field), "front_ms": timed}
    winners = result.winners.items()
    shown = [*fronts["front_macs"], *fronts["front_ms"], *result.uniform.values(), *(one for _, one in winners)]
    distinct = {one.architecture.key: one for one in shown}
    with atomic_write(path, "w") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for one in sorted(distinct.values(), key=lambda one: (getattr(one.price, field), one.rank)):
            price, executed = one.price, one.architecture.key[1]
            table.writerow([
                archive.space.label(one.architecture), one.architecture.resolution, " ".join(map(str, executed)),
                price.macs, price.macs_paper, price.parameters, price.activation_bytes,
                "" if price.latency_ms is None else f"{price.latency_ms:.4f}", one.distance,
                int(one in fronts["front_macs"]), int(one in fronts["front_ms"]), int(one in result.uniform.values()),
                " ".join(budget.name for budget, winner in winners if winner == one),
            ])  # fmt: skip


def has_latency(result: SearchResult) -> bool:
    return result.archive.evaluations[0].price.latency_ms is not None


def rows(result: SearchResult) -> Iterator[Sequence[str]]:
    """A line per budget for people, as `HEADER` says: the best uniform architecture beside the one found."""
    from anycost.metrics.summary import readable_count

    for budget, found in result.winners.items():
        uniform = result.best_uniform[budget]
        yield (
            str(budget),
            budget.cost_text(found.price),
            _described(result, found),
            readable_count(found.price.macs),
            "-" if found.price.latency_ms is None else f"{found.price.latency_ms:.2f}",
            f"{found.distance:.4f}",
            uniform_label(result, uniform) if uniform else "-",
            f"{uniform.distance:.4f}" if uniform else "-",
        )


HEADER = ("budget", "cost in it", "architecture", "true MACs", "ms", "distance", "best uniform", "its distance")


def _described(result: SearchResult, one: Evaluation) -> str:
    """What it is, channels from 4 px up: `32 px 64 64 48/32 32`; a uniform one has its label in front."""
    executed = one.architecture.key[1]
    pairs = zip(executed[::2], executed[1::2], strict=True)
    widths = " ".join(f"{first}" if first == second else f"{first}/{second}" for first, second in pairs)
    label = uniform_label(result, one)
    return f"{label}: " * (label in result.uniform) + f"{one.architecture.resolution} px {widths}"
