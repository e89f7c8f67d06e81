"""Searches, ready to be drawn and tabulated: those of `anycost search` (a folder) and those in training (a file)."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.files import atomic_write
from anycost.metrics.summary import readable_count
from anycost.reporting.models import space_of
from anycost.reporting.points import Cost, CostPoint, front, with_cost
from anycost.search.archive import Evaluation
from anycost.search.budget import Budget
from anycost.search.proposals import uniform_architectures
from anycost.search.searching import SearchResult, best_uniform

RESULT, ARCHIVE, FRONT = "result.json", "archive.jsonl", "front.csv"


@dataclass(frozen=True)
class BudgetRow:
    """The winner of one budget, and the best uniform sub-generator that fits it."""

    budget: Budget
    winner: CostPoint
    uniform: CostPoint | None


@dataclass(frozen=True)
class SearchView:
    """One search, ready to be drawn and tabulated.

    Args:
        name: with the run's before it where it lies in one.
        protocol: what the distance is, in words; the y-axis.
        description: one line on how it was searched.
        device: for milliseconds: the machine.
        evaluated: everything judged.
        uniform: the uniform sub-generators among them, by resolution.
        rows: one for each budget.
    """

    name: str
    protocol: str
    description: str
    device: str
    evaluated: Sequence[CostPoint]
    uniform: Sequence[CostPoint]
    rows: Sequence[BudgetRow]

    def winners_by(self, cost: Cost) -> list[CostPoint]:
        """The winners of the budgets in this measure, each labelled with its budget."""
        return [replace(row.winner, label=row.budget.name) for row in self.rows if row.budget.field == cost]

    def budget_rows(self) -> list[list[str]]:
        """Cells of the report's table."""
        return [
            [
                row.budget.name,
                row.winner.label,
                readable_count(int(row.winner.macs)),
                readable_count(int(row.winner.macs_paper)),
                "-" if row.winner.latency_ms is None else f"{row.winner.latency_ms:.2f}",
                f"{row.winner.value:.4f}",
                row.uniform.label if row.uniform else "none fits",
                f"{row.uniform.value:.4f}" if row.uniform else "-",
            ]
            for row in self.rows
        ]


def view_of(
    name: str,
    space: ArchitectureSpace,
    evaluations: Sequence[Evaluation],
    winners: Mapping[Budget, Evaluation],
    protocol: Mapping[str, Any],
    method: str,
) -> SearchView:
    """A view of what was evaluated; the uniform sub-generators are those of `space` among the evaluations."""
    known = {one.architecture.key: one for one in evaluations}
    uniform = [known[one.key] for one in uniform_architectures(space).values() if one.key in known]
    rows = []
    for budget, winner in winners.items():
        best = best_uniform(uniform, budget)
        rows.append(BudgetRow(budget, cost_point(winner, space), cost_point(best, space) if best else None))
    return SearchView(
        name=name,
        protocol=distance_name(protocol["perceptual"]),
        description=describe(len(evaluations), method, protocol),
        device="",
        evaluated=[cost_point(one, space) for one in evaluations],
        uniform=[cost_point(one, space) for one in uniform],
        rows=rows,
    )


def describe(count: int, method: str, protocol: Mapping[str, Any]) -> str:
    """How was searched, in a sentence."""
    latents, seed = protocol["latents"], protocol["first_seed"]
    return (
        f"{count} architectures judged (method: {method}) by the mean perceptual distance ({protocol['perceptual']}) "
        f"of their pictures to the full generator's: {latents} latents, seeds from {seed}, {protocol['noise']} noise, "
        f"truncation {protocol['truncation']:g}, compared at {protocol['side']} px."
    )


def distance_name(perceptual: str) -> str:
    """What the axes of all fronts call the distance of the judge `perceptual`."""
    return f"{perceptual} distance to the full generator"


def cost_point(one: Evaluation, space: ArchitectureSpace | None = None) -> CostPoint:
    """What the plots need of an evaluation; the label where its `space` is given."""
    return CostPoint(
        value=one.distance,
        macs_paper=one.price.macs_paper,
        macs=one.price.macs,
        latency_ms=one.price.latency_ms,
        label=space.label(one.architecture) if space else "",
        resolution=one.architecture.resolution,
    )


def read_search(folder: Path, run: str) -> SearchView:
    """What `anycost search` wrote to `folder`; raises `UserError` where it cannot be read."""
    try:
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        lines = (folder / ARCHIVE).read_text(encoding="utf-8").splitlines()
        evaluations = [Evaluation.from_json(json.loads(line)) for line in lines]
        shown = list(csv.DictReader((folder / FRONT).read_text(encoding="utf-8").splitlines()))
        points = {row["architecture"]: _point(row) for row in shown}
        entries = {Budget.parse(entry["anycost"]["budget"]): entry["anycost"] for entry in result.values()}
        winners = {name: points[row["architecture"]] for row in shown for name in row["budgets"].split()}
        first = next(iter(entries.values()))
        return SearchView(
            name=f"{run}/search/{folder.name}" if folder.parent.name == "search" else run,
            protocol=distance_name(first["protocol"]["perceptual"]),
            description=describe(len(evaluations), first["method"]["method"], first["protocol"]),
            device=next((one.price.device for one in evaluations if one.price.device), None) or "",
            evaluated=[cost_point(one) for one in evaluations],
            uniform=[points[row["architecture"]] for row in shown if row["uniform"] == "1"],
            rows=[
                BudgetRow(budget, winners[budget.name], points[one["uniform"]["label"]] if one["uniform"] else None)
                for budget, one in entries.items()
            ],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise UserError(f"{folder / RESULT} is not a whole result of anycost search ({error}); search again") from error


def _point(row: Mapping[str, str]) -> CostPoint:
    """A line of front.csv."""
    latency = float(row["latency_ms"]) if row["latency_ms"] else None
    macs, macs_paper = float(row["macs"]), float(row["macs_paper"])
    return CostPoint(float(row["distance"]), macs_paper, macs, latency, row["architecture"], int(row["resolution"]))


def write_front(path: Path, images: int, result: SearchResult, protocol: Mapping[str, Any]) -> None:
    """Keep a search that was made in training, at `images`: everything judged, and the winners of the budgets."""
    space = result.archive.space
    content = {
        "images": images,
        "method": result.settings.method,
        "protocol": dict(protocol),
        "space": asdict(space),
        "budgets": {str(budget): _entry(one, space) for budget, one in result.winners.items()},
        "evaluated": [_entry(one, space) for one in result.archive.evaluations],
    }
    with atomic_write(path, "w") as file:
        json.dump(content, file, indent=1)
        file.write("\n")


def _entry(one: Evaluation, space: ArchitectureSpace) -> dict[str, Any]:
    return {"label": space.label(one.architecture), **one.to_json()}


def read_front(path: Path, run: str) -> SearchView:
    """The view of a file of `write_front`; raises `UserError` where it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        winners = {Budget.parse(text): _evaluation(entry) for text, entry in content["budgets"].items()}
        evaluated = [_evaluation(entry) for entry in content["evaluated"]]
        space = space_of(content["space"])
        name = f"{run} at {content['images'] / 1000:g} kimg"
        return view_of(name, space, evaluated, winners, content["protocol"], content["method"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a whole front of a training ({error}); move it away") from error


def _evaluation(entry: Mapping[str, Any]) -> Evaluation:
    return Evaluation.from_json({name: value for name, value in entry.items() if name != "label"})


def front_rows(view: SearchView, cost: Cost = "macs_paper") -> list[tuple[str, str, int, int, float]]:
    """What a chart of lines needs: (series, architecture, MACs, MACs in the paper's convention, distance) by line.

    The front is one series, the uniform sub-generators of each resolution another.
    """
    series = [("front", front(view.evaluated, cost))]
    for resolution in sorted({one.resolution for one in view.uniform}, reverse=True):
        own = [one for one in view.uniform if one.resolution == resolution]
        series.append((f"uniform {resolution} px", [point for _, point in with_cost(own, cost)]))
    return [
        (name, one.label, int(one.macs), int(one.macs_paper), one.value) for name, points in series for one in points
    ]
