"""What `anycost search` shows: the budgets in full, progress, the table, plots and a grid."""

import sys
import time
from collections.abc import Collection
from types import TracebackType

from rich.console import Console
from rich.table import Table

from anycost.search.archive import Archive, Evaluation
from anycost.search.results import HEADER, has_latency, rows
from anycost.search.searching import SearchResult
from anycost.search.session import Session

GRID_ROWS = 5
WIDTH = 120
_EVOLUTION_ALONE = ("evaluations", "population")
_SECONDS = 5.0  # between two lines of progress


def announce(session: Session, given: Collection[str] = ()) -> None:
    """The budgets in full (design decision 7), the method and the folder; `given` are the options that were set."""
    for budget in session.budgets:
        print(f"budget:  {budget}")
    settings, size = session.request.settings, session.space_size
    if session.method == "enumeration":
        print(f"method:  enumeration: the space has {size} architectures, all that fit a budget are judged")
        if unused := [f"{name}={getattr(settings, name)}" for name in _EVOLUTION_ALONE if name in given]:
            print(f"note:    an enumeration ignores {', '.join(unused)}: add method=evolution to use them")
    else:
        print(f"method:  {session.method}, {settings.evaluations} evaluations for each budget, of {size} architectures")
    print(f"folder:  {session.folder}", flush=True)


class Progress:
    """A line now and then: how many were judged, and the best distance within each budget so far."""

    def __init__(self, session: Session) -> None:
        self.session, self.total = session, session.expected_evaluations
        self.start = self.said = time.monotonic()
        self.archive: Archive | None = None
        self.shown = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.archive and kind is None and len(self.archive) != self.shown:
            self._say()

    def add(self, archive: Archive, new: list[Evaluation]) -> None:
        """Told of each batch."""
        self.archive = archive
        if time.monotonic() - self.said >= _SECONDS:
            self._say()

    def _say(self) -> None:
        assert self.archive is not None
        self.said, self.shown = time.monotonic(), len(self.archive)
        best = {budget: self.archive.fitting(budget)[:1] for budget in self.session.budgets}
        shown = ", ".join(f"{budget.name} {found[0].distance:.4f}" for budget, found in best.items() if found)
        print(f"{len(self.archive)} of at most {self.total} judged, {self.said - self.start:.0f} s; best: {shown}",
              file=sys.stderr, flush=True)  # fmt: skip


def print_table(result: SearchResult) -> None:
    """A row per budget, the best uniform architecture beside the one found."""
    table = Table(*HEADER)
    for column in (1, 3, 4, 5, 7):
        table.columns[column].justify = "right"
    for row in rows(result):
        table.add_row(*row)
    console = Console()
    console.width = max(console.width, WIDTH)  # a file or a pipe has no width of its own
    console.print(table)


def draw(session: Session, result: SearchResult) -> None:
    """Distance against cost, and pictures of what was found; names the files."""
    from anycost.grids import draw_grid, sample_columns, save_png

    _draw_fronts(session, result)
    columns = {"full": session.generator.space.full()}
    for budget, found in result.winners.items():
        columns[budget.name] = found.architecture
        uniform = result.best_uniform[budget]
        if uniform and uniform != found:
            columns[f"uniform {budget.name}"] = uniform.architecture
    seeds = range(session.objective.first_seed, session.objective.first_seed + GRID_ROWS)
    pictures = sample_columns(session.generator, columns, seeds, session.request.truncation)
    save_png(draw_grid(pictures), session.folder / "grid.png")
    plots = "front_macs.png, front_ms.png" if has_latency(result) else "front_macs.png"
    print(f"plots:   {session.folder}: {plots}, grid.png, front.csv")
    print(f"result:  {session.folder / 'result.json'} (architectures={session.folder / 'result.json'}:"
          f"{result.budgets[0].name})")  # fmt: skip


def _draw_fronts(session: Session, result: SearchResult) -> None:
    from anycost.reporting.figures import draw_front
    from anycost.reporting.points import CostPoint
    from anycost.reporting.searches import distance_name
    from anycost.reporting.style import write_figure

    def point(one: Evaluation, label: str = "") -> CostPoint:
        price = one.price
        return CostPoint(
            one.distance, price.macs_paper, price.macs, price.latency_ms, label, one.architecture.resolution
        )

    everything = [point(one) for one in result.archive.evaluations]
    uniform = [point(one, label) for label, one in result.uniform.items()]
    name = distance_name(session.request.perceptual)
    for axis, file in ((session.field, "front_macs"), *((("latency_ms", "front_ms"),) if has_latency(result) else ())):
        own = [budget for budget in result.budgets if (budget.field == "latency_ms") == (axis == "latency_ms")]
        winners = [point(result.winners[budget], budget.name) for budget in own]
        figure = draw_front(everything, uniform, axis, protocol=name, device=_conditions(session), winners=winners)
        write_figure(figure, session.folder / file)


def _conditions(session: Session) -> str:
    """The processor and its threads (as much as fits beside an axis), and how wrong a poor table is."""
    table = session.latency_table
    if table is None:
        return ""
    poor = f", predicted, median error {100 * table.error.median:.0f} %" if table.error.is_poor else ""
    return ", ".join(table.device.split(", ")[:2]) + poor
