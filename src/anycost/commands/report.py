"""`anycost report RUN [RUN ...] [output=DIR]`: tables, CSV and figures of what runs have measured.

    anycost report logs/train/runs/quick
    anycost report logs/train/multiruns/ratios-m1a2b3c4d output=reports/ratios
    anycost report logs/train/runs/one logs/evaluate/two-r1a2b3c4d logs/search/three-r1a2b3c4d

RUN is the folder of a run, a pipeline (its stages), a multirun (its runs), an evaluation or a search. Writes report.md,
records.csv (one row per measurement) and every figure as PNG (300 dpi) and PDF into output=.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anycost.commands.arguments import parse
from anycost.configuration.fields import option
from anycost.errors import UserError


@dataclass
class ReportConfig:
    """Where the report goes."""

    output: str | None = option(
        None, "folder of the report; default: report/ inside RUN, or here where there are several", path=True
    )


def main(arguments: Sequence[str]) -> int:
    """Write the report and print where it lies."""
    runs = [one for one in arguments if not one.startswith(("output=", "-"))]
    config = parse(ReportConfig, [one for one in arguments if one not in runs], __doc__)
    if config is None:
        return 0
    for run in runs:
        key, equals, _ = run.partition("=")
        if equals and "/" not in key and not Path(run).exists():
            raise UserError(f"{key}= is not an option; anycost report takes folders of runs and output=")
    from anycost.reporting.report import write_report

    written = write_report(runs, Path(config.output) if config.output else None)
    print(f"report:  {written.page}")
    print(f"records: {written.records} ({written.count} rows)")
    print(f"figures: {len({path.stem for path in written.figures})}, each as PNG and PDF")
    return 0
