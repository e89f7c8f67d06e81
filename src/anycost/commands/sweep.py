"""`anycost sweep status|resubmit|cancel FOLDER`: the jobs of a multirun, wherever they run.

    anycost sweep status logs/train/multiruns/NAME                every job: state, progress, where it runs, last error
    anycost sweep status FOLDER watch=30                          the same again every 30 seconds, until all have ended
    anycost sweep status FOLDER format=json                       for programs
    anycost sweep resubmit FOLDER                                 continue what failed, died, stopped or is missing
    anycost sweep resubmit FOLDER jobs=3,7-9 cluster.minutes=600  some of these, with other settings of the machine
    anycost sweep cancel FOLDER jobs=0-4                          end jobs that run or wait; they can be resubmitted

Works with and without SLURM, and without its accounting; docs/sweeps.md has the rule of each state.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from anycost.commands.arguments import check_once, parse
from anycost.configuration.fields import option
from anycost.errors import UserError
from anycost.sweeps.status import JobStatus, SweepStatus, sweep_status

_MULTIRUNS = Path("logs/train/multiruns")
_SHOWN_FOLDERS = 3


@dataclass
class StatusConfig:
    """How the status is shown."""

    format: str = option("table", "how it is printed", ("table", "json"))
    watch: float | None = option(None, "seconds between looks; ends when no job is left that runs or waits", at_least=1)


@dataclass
class ResubmitConfig:
    """What is handed out again."""

    jobs: str | None = option(None, "indices: 3,7-9; default: all that failed, died, stopped or are missing")
    failed: bool = option(False, "only jobs that failed or died")
    launcher: str = option("auto", "where; auto: as before", ("auto", "slurm", "local"))
    detach: bool = option(True, "return at once; false: wait until the jobs have ended")
    dry_run: bool = option(False, "say what would be done, and do nothing")


@dataclass
class CancelConfig:
    """What is ended."""

    jobs: str | None = option(None, "indices: 3,7-9; default: all that run or wait")


OPTIONS = {"status": StatusConfig, "resubmit": ResubmitConfig, "cancel": CancelConfig}
"""The verbs of this verb, with what each takes."""


def main(arguments: Sequence[str]) -> int:
    """Do what the verb says to the sweep in the folder."""
    verbs: dict[str, Callable[[Path, Sequence[str]], None]] = {
        "status": _status, "resubmit": _resubmit, "cancel": _cancel
    }  # fmt: skip
    verb, *rest = arguments or [""]
    if not arguments or {"-h", "--help"} & set(arguments):
        _help(verb)
        return 0
    if verb not in verbs:
        close = get_close_matches(verb, verbs, n=1)
        hint = f"did you mean {close[0]}?" if close else "anycost sweep takes status, resubmit or cancel, then a folder"
        raise UserError(f"anycost sweep {verb}: {hint}")
    verbs[verb](_folder(verb, rest), rest[1:])
    return 0


def _status(folder: Path, arguments: Sequence[str]) -> None:
    config = parse(StatusConfig, arguments, __doc__)
    assert config is not None  # --help was dealt with
    while True:
        status = sweep_status(folder)
        _show(status, config)
        if config.watch is None or not status.active:
            return
        time.sleep(config.watch)


def _show(status: SweepStatus, config: StatusConfig) -> None:
    if config.format == "json":
        print(json.dumps(status.to_json(), indent=None if config.watch else 1), flush=True)
        return
    from rich.console import Console

    from anycost.sweeps.table import print_status

    console = Console()
    if config.watch and console.is_terminal:
        console.clear()
    print_status(status, console)
    sys.stdout.flush()


def _resubmit(folder: Path, arguments: Sequence[str]) -> None:
    settings = [one for one in arguments if "." in one.partition("=")[0]]
    config = parse(ResubmitConfig, [one for one in arguments if one not in settings], __doc__)
    assert config is not None
    check_once(settings)
    from anycost.sweeps.resubmitting import chosen, executor_of, resubmit, what_happens, with_settings_of

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    status = _recorded(folder)
    jobs = chosen(status, _chosen(status, config.jobs), config.failed)
    if not jobs:
        print("nothing to resubmit: " + ", ".join(f"{count} {state}" for state, count in status.counts.items()))
        return
    executor = executor_of(status) if config.launcher == "auto" else config.launcher
    changed = with_settings_of(jobs, executor, settings)
    print("\n".join([*what_happens(jobs, executor), *(f"with {setting}" for setting in settings)]), flush=True)
    if not config.dry_run:
        resubmit(status, changed, executor, settings, config.detach)


def _cancel(folder: Path, arguments: Sequence[str]) -> None:
    config = parse(CancelConfig, arguments, __doc__)
    assert config is not None
    from anycost.sweeps.cancelling import cancel_jobs

    status = _recorded(folder)
    named = _chosen(status, config.jobs)
    jobs = status.jobs if named is None else named
    if status.silence and any(job.active for job in jobs):
        raise UserError(f"{status.silence}; nothing was cancelled")
    for line in cancel_jobs(status, jobs) or ["nothing runs or waits"]:
        print(line)


def _recorded(folder: Path) -> SweepStatus:
    status = sweep_status(folder)
    if not status.recorded:
        raise UserError(f"{folder} has no sweep.json: its runs were not handed out by hydra/launcher=slurm or local; "
                        "the command that made it continues them")  # fmt: skip
    return status


def _chosen(status: SweepStatus, text: str | None) -> list[JobStatus] | None:
    """The jobs that `jobs=3,7-9` names, in the order of the sweep; None where it is left out."""
    if text is None:
        return None
    wanted: set[int] = set()
    for part in text.strip("[]").split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise UserError(f"jobs={text}: {part!r} is not an index or a span of indices; for example jobs=3,7-9")
        if dash and int(last) < int(first):
            raise UserError(f"jobs={text}: {part!r} is no span: it ends before it begins")
        wanted.update(range(int(first), int(last or first) + 1))
    for index in sorted(wanted):
        status.sweep.job(index)  # raises where there is none
    return [job for job in status.jobs if job.job.index in wanted]


def _folder(verb: str, arguments: Sequence[str]) -> Path:
    if arguments and ("=" not in arguments[0] or Path(arguments[0]).exists()):
        return Path(arguments[0]).expanduser()
    newest = sorted(_MULTIRUNS.glob("*/"), key=lambda folder: folder.stat().st_mtime, reverse=True)[:_SHOWN_FOLDERS]
    here = ", ".join(map(str, newest)) if newest else f"logs/train/multiruns/NAME (there are none in {Path.cwd()})"
    raise UserError(f"anycost sweep {verb} needs the folder of a sweep: {here}")


def _help(verb: str) -> None:
    if verb not in OPTIONS:
        print((__doc__ or "").strip())
        return
    parse(OPTIONS[verb], ["--help"], __doc__)
    if verb == "resubmit":
        print("  GROUP.KEY=VALUE        settings that do not decide what is computed: cluster.mem_gb=64")
