"""The sections of report.md."""

from collections.abc import Sequence

from anycost import __version__
from anycost.metrics.records import Measurement
from anycost.reporting.ablation import ablation_table
from anycost.reporting.gather import RunResults
from anycost.reporting.groups import HIGHER_IS_BETTER, Group, Quantity, is_stale, measured
from anycost.reporting.rows import Row
from anycost.reporting.searches import SearchView
from anycost.reporting.tables import BIASED, best_table, markdown, value_table


def heading(paths: Sequence[str]) -> str:
    return (
        f"# Results\n\nMade by anycost {__version__} with `anycost report {' '.join(paths)}`. Every measurement with "
        "all its fields is in [records.csv](records.csv); every figure lies beside this page as PNG and PDF.\n"
    )


def runs_section(runs: Sequence[RunResults]) -> str:
    """One row per folder: what was trained, how far, and which weights came of it."""
    rows = [
        [
            run.name,
            run.stage or "-",
            str(run.record.get("data", "-")),
            f"{run.kimg:g}" if run.record else "-",
            run.state if run.config else "-",
            "-" if run.seed is None else str(run.seed),
            f"`{run.weights}`" if run.weights else "-",
            _speed(run),
        ]
        for run in runs
    ]
    header = ["run", "stage", "data", "kimg", "state", "seed", "weights", "s per kimg"]
    return "## Runs\n\n" + markdown(header, rows, left=3)


def _speed(run: RunResults) -> str:
    """Median over the logged rows: pauses of the machine do not count."""
    speeds = sorted(row["timing/sec_per_kimg"] for row in run.rows if "timing/sec_per_kimg" in row)
    return f"{speeds[len(speeds) // 2]:.3g}" if speeds else "-"


def quantity_section(
    quantity: Quantity, groups: Sequence[Group], figures: Sequence[str], title: str, rows: Sequence[Row] = ()
) -> str:
    """One protocol on one data set: what it is, the table of the newest values, best beside last, figures.

    Where there are `rows`, the table is theirs.
    """
    found = [(one, run) for group in groups for run in group.runs for one in measured(run, quantity)]
    stale = [one for one, run in found if is_stale(run, one)]
    table = ablation_table(rows, quantity) if rows else value_table(groups, quantity)
    parts = [f"## {title}\n", _protocol([one for one, _ in found], quantity), table]
    notes = []
    if any(len(group.runs) > 1 for group in groups):
        notes.append("± is the standard deviation over seeds (n - 1).")
    if any(one.biased for one, _ in found):
        notes.append(
            f"{BIASED} biased: fewer images than feature dimensions, so too large; compare with its like only."
        )
    if stale:
        notes.append(f"{len(stale)} records of weights that have been replaced are in records.csv only.")
    if notes:
        parts.append(" ".join(notes) + "\n")
    if best := best_table(groups, quantity):
        parts += ["Best and last in training:\n", best]
    parts += [embedded(name, quantity.metric) for name in figures]
    return "\n".join(parts)


def _protocol(found: Sequence[Measurement], quantity: Quantity) -> str:
    """In words, from the fields of the protocol; with the data set, the dates and the digest."""
    one = found[0]
    protocol = one.protocol
    better = "higher" if protocol.kind in HIGHER_IS_BETTER else "lower"
    what = "pairs of images" if protocol.kind == "path_length" else "generated images"
    texts = [
        f"{protocol.kind.replace('_', ' ').capitalize()}, {better} is better. {protocol.samples} {what}",
        f"reals: {protocol.reals}" + (f" of `{one.data}`" if one.data and protocol.reals != "none" else ""),
        *([] if quantity.data == one.data else [f"generators of {quantity.scope}"]),
        f"features: {protocol.features}" + (f" (`{one.network}`)" if one.network else ""),
        f"resize: {protocol.resize}",
        f"quantisation: {protocol.quantisation}",
        f"noise: {protocol.noise}",
        f"truncation: {protocol.truncation:g}",
        f"seeds from {protocol.seed}",
        f"{protocol.dtype}, statistics {protocol.statistics}",
    ]
    dates = sorted({one.date[:10] for one in found if one.date})
    if dates:
        texts.append(f"measured {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else ""))
    weights = list(dict.fromkeys(one.weights for one in found if one.weights))
    if weights:
        texts.append("weights " + ", ".join(f"`{one}`" for one in weights))
    return "; ".join(texts) + f". Protocol `{protocol.digest}`.\n"


def search_section(run: RunResults, search: SearchView, figures: Sequence[str]) -> str:
    """The best architecture within each budget beside the best uniform one that fits."""
    header = ["budget", "architecture", "MACs", "MACs (paper)", "ms", "distance", "best uniform", "its distance"]
    parts = [
        f"## Search {search.name}\n",
        f"{search.description}\n",
        markdown(header, search.budget_rows(), left=2),
    ]
    return "\n".join([*parts, *(embedded(name, "Pareto front") for name in figures)])


def pictures_section(title: str, figures: Sequence[str]) -> str:
    return "\n".join([f"## {title}\n", *(embedded(name, title) for name in figures)]) if figures else ""


def embedded(stem: str, title: str) -> str:
    """A figure in the page, with its vector form."""
    return f"![{title}]({stem}.png)\n\n[{stem}.pdf]({stem}.pdf)\n"
