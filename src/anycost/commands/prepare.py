"""`anycost prepare`: pack the pictures of a folder, zip or LMDB into one zip for training, with a report.

    anycost prepare source=photos output=datasets/photos.zip resolution=256

The same command continues after an interruption; broken and too small files are left out and listed by name.
"""

from collections.abc import Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from anycost.commands.arguments import parse
from anycost.data.prepare import PrepareConfig, prepare


def main(arguments: Sequence[str]) -> int:
    """Prepare the archive and print the report."""
    config = parse(PrepareConfig, arguments, __doc__)
    if config is None:
        return 0
    columns = (TextColumn("preparing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("preparing", total=None)
        report = prepare(config, lambda done, total: progress.update(task, completed=done, total=total))
    print(report)
    return 0
