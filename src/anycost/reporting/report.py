"""`anycost report`: gathered results -> report.md, records.csv and figures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anycost.files import atomic_write
from anycost.reporting import pages
from anycost.reporting.ablation import rows_section, write_table_csv
from anycost.reporting.gather import RunResults, gather
from anycost.reporting.groups import Group, Quantity, group_runs, quantities
from anycost.reporting.plots import front_figures, grid_figures, loss_figures, quantity_figures
from anycost.reporting.records_csv import write_records_csv
from anycost.reporting.rows import Row, table_rows
from anycost.reporting.style import write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Written:
    """What a report consists of; `count` is the number of rows in records.csv."""

    page: Path
    records: Path
    count: int
    figures: list[Path]


def write_report(paths: Sequence[str], output: Path | None = None) -> Written:
    """Gather the folders `paths`, write the report into `output`; raises `UserError` where nothing was measured.

    Without `output`, the report of one folder lies inside it, of several in `report` of the working directory.
    """
    runs = gather(paths)
    folder = output or (Path(paths[0]).expanduser() / "report" if len(paths) == 1 else Path("report"))
    groups, rows = group_runs(runs), table_rows(runs)
    figures: list[Path] = []

    def draw(drawn: Iterator[tuple[str, "Figure"]]) -> list[str]:
        names = []
        for name, figure in drawn:
            figures.extend(write_figure(figure, folder / name))
            names.append(name)
        return names

    shown = representatives(runs, rows)
    sections = [pages.heading(paths), rows_section(rows) if rows else pages.runs_section(runs)]
    sections += _quantity_sections(runs, groups, rows, draw)
    sections += [
        pages.search_section(run, search, draw(front_figures(search))) for run in runs for search in run.searches
    ]
    sections += [pages.pictures_section("Samples", draw(grid_figures(shown)))]
    sections += [pages.pictures_section("Training", draw(loss_figures(shown)))]
    if rows:
        sections.append(pages.runs_section(runs))
        write_table_csv(rows, quantities(runs), folder / "table.csv")
    count = write_records_csv(runs, folder / "records.csv")
    with atomic_write(folder / "report.md", "w") as file:
        file.write("\n".join(section for section in sections if section))
    return Written(folder / "report.md", folder / "records.csv", count, figures)


def _quantity_sections(
    runs: Sequence[RunResults],
    groups: Sequence[Group],
    rows: Sequence[Row],
    draw: Callable[[Iterator[tuple[str, "Figure"]]], list[str]],
) -> Iterator[str]:
    found = quantities(runs)
    for quantity in found:
        figures = draw(quantity_figures(quantity, groups, stem(quantity, found), rows))
        yield pages.quantity_section(quantity, groups, figures, title(quantity, found), rows)


def representatives(runs: Sequence[RunResults], rows: Sequence[Row]) -> Sequence[RunResults]:
    """Whose pictures and losses are shown: all runs, or one seed of every place in a table, under its row's name."""
    if not rows:
        return runs
    chosen: dict[str, RunResults] = {}
    for row in rows:
        for run in sorted(row.runs, key=lambda run: (run.state != "finished", run.seed or 0)):
            column = (run.config.get("table") or {}).get("column") or ""
            name = f"{row.name} {column}".strip()
            chosen.setdefault(name, replace(run, name=name))
    return list(chosen.values())


def title(quantity: Quantity, among: Sequence[Quantity]) -> str:
    """The heading: the metric, with the data and the network that judged where it was measured by several."""
    same = [one for one in among if one.metric == quantity.metric]
    parts = [quantity.metric]
    if len({one.scope for one in same}) > 1:
        parts.append(quantity.scope)
    if len({one.network for one in same}) > 1:
        parts.append(quantity.network or "network not recorded")
    return ", ".join(parts)


def stem(quantity: Quantity, among: Sequence[Quantity]) -> str:
    """The first part of the figures' file names: the metric, and a number where several share its name."""
    same = [one for one in among if one.metric == quantity.metric]
    return quantity.metric if len(same) == 1 else f"{quantity.metric}-{same.index(quantity) + 1}"
