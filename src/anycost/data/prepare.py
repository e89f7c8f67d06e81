"""Packs the pictures of a folder, zip or LMDB into one zip for training, with a report (`anycost prepare`).

The archive has the NVIDIA layout: `00012/img00012345.png` for picture 12345 of the source, whose number stays even
where others were left out, and `dataset.json` with the labels of the source. It grows in a `.part` file with a
journal beside it; both survive a kill, and the same command continues them.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anycost.configuration.choices import check_choices
from anycost.configuration.fields import MISSING, option
from anycost.data.convert import Conversion, Outcome, convert_all
from anycost.data.geometry import check_resolution
from anycost.data.growing_zip import GrowingZip
from anycost.data.kinds import open_pictures
from anycost.data.sources import LABELS_FILE, PictureSource, Selection, digest
from anycost.errors import UserError
from anycost.files import atomic_write, explained_errors


@dataclass
class PrepareConfig:
    """Options of `anycost prepare`."""

    source: str = option(MISSING, "folder, zip file or LMDB with the pictures", path=True)
    output: str = option(MISSING, "zip file to make; its report lies beside it", path=True)
    resolution: int = option(MISSING, "side of the prepared pictures in pixels, a power of two", at_least=8)
    subset: str | None = option(None, "take only this folder inside `source`", path=True)
    crop: str = option(
        "center", "center cuts the middle square out, letterbox adds black bars, none keeps the shape and makes "
        "the shorter side `resolution` pixels", ("center", "letterbox", "none")
    )  # fmt: skip
    aspect: str | None = option(None, "cut the middle to this width:height first, for example 4:3 for LSUN Car")
    filter: str = option("bilinear", "resize filter (antialiased)", ("bilinear", "lanczos", "box"))
    workers: int = option(2, "processes; 0 works in this one", at_least=0)
    max_images: int | None = option(None, "take only the first so many pictures of `source`", at_least=1)


@dataclass
class Report:
    """What became of the pictures; written as `NAME.report.json` beside the archive."""

    output: str
    settings: dict[str, Any]
    found: int
    converted: int
    unusual: dict[str, int] = field(default_factory=dict)
    """How many of the converted files were grey, 16-bit, cmyk, with alpha, rotated by EXIF."""
    skipped: list[dict[str, str]] = field(default_factory=list)
    """`name` and `reason` of every file left out."""

    def __str__(self) -> str:
        lines = [f"{self.output}: {self.converted} of {self.found} pictures"]
        if self.unusual:
            lines.append("  made plain RGB: " + ", ".join(f"{n} {trait}" for trait, n in self.unusual.items()))
        lines += [f"  left out: {skip['name']} {skip['reason']}" for skip in self.skipped[:20]]
        if len(self.skipped) > 20:
            lines.append(f"  and {len(self.skipped) - 20} more, listed in {report_path(Path(self.output))}")
        return "\n".join(lines)


def prepare(config: PrepareConfig, advance: Callable[[int, int], None] = lambda done, total: None) -> Report:
    """Make the archive of `config`, or continue making it; `advance(done, total)` is called per picture.

    An archive that the same command has finished is left as it is. Raises `UserError` naming option and remedy.
    """
    check_choices(config)
    conversion = _conversion(config)
    source = _open(config)
    output = Path(config.output).expanduser()
    settings = {"source": source.fingerprint(), **asdict(conversion)}
    finished = _finished(output, settings)
    if finished is not None:
        return finished
    partial = output.with_name(f"{output.name}.{digest([json.dumps(settings)])[:8]}.part")
    with GrowingZip(partial) as archive:
        journal = Journal(partial.with_suffix(".journal"))
        _convert_rest(source, conversion, config.workers, archive, journal, advance)
        report = _report(config.output, settings, source, archive, journal)
        with atomic_write(report_path(output), "w") as file:
            json.dump(asdict(report), file, indent=1)
        archive.finish(output, {LABELS_FILE: _labels(source, archive, settings)})
    journal.path.unlink(missing_ok=True)
    return report


def report_path(output: Path) -> Path:
    """`ffhq.report.json` for `ffhq.zip`."""
    return output.with_suffix(".report.json")


class Journal:
    """What was remarkable about which picture, one JSON line each: reasons of those left out, traits of the others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[int, dict[str, Any]] = {}
        if path.exists():
            lines = path.read_text().splitlines(keepends=True)
            if lines and not lines[-1].endswith("\n"):  # torn by a kill
                path.write_text("".join(lines[:-1]))
            whole = (json.loads(line) for line in lines if line.endswith("\n"))
            self.records = {record["place"]: record for record in whole}

    def add(self, outcome: Outcome) -> None:
        """Note the outcome, if there is anything to note."""
        if not outcome.traits and outcome.reason is None:
            return
        record = {"place": outcome.place, "traits": outcome.traits, "reason": outcome.reason}
        self.records[outcome.place] = record
        with explained_errors(self.path), self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def reasons(self) -> dict[int, str]:
        """{place: reason} of the pictures left out, in order."""
        return {k: record["reason"] for k, record in sorted(self.records.items()) if record["reason"] is not None}

    def traits(self) -> dict[str, int]:
        """How many pictures have which trait, the commonest first."""
        counts = Counter(trait for record in self.records.values() for trait in record["traits"])
        return dict(counts.most_common())


def _convert_rest(
    source: PictureSource,
    conversion: Conversion,
    workers: int,
    archive: GrowingZip,
    journal: Journal,
    advance: Callable[[int, int], None],
) -> None:
    """Convert the pictures that are neither in the archive nor known to be unusable."""
    done = {_place(name) for name in archive.names} | journal.reasons().keys()
    rest = [k for k in range(len(source)) if k not in done]
    count = len(source) - len(rest)
    advance(count, len(source))
    for outcome in convert_all(source, conversion, rest, workers):
        journal.add(outcome)
        if outcome.png is not None:
            archive.add(_name(outcome.place), outcome.png)
        count += 1
        advance(count, len(source))


def _conversion(config: PrepareConfig) -> Conversion:
    check_resolution("resolution", config.resolution)
    if config.aspect is None:
        return Conversion(config.resolution, config.crop, None, config.filter)
    parts = config.aspect.split(":")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"aspect={config.aspect} is not width:height, for example 4:3")
    return Conversion(config.resolution, config.crop, (int(parts[0]), int(parts[1])), config.filter)


def _open(config: PrepareConfig) -> PictureSource:
    path = Path(config.source).expanduser()
    if not path.exists():
        raise UserError(f"source={config.source} does not exist")
    source = open_pictures(path, config.subset, config.max_images)
    if len(source) == 0:
        raise UserError(f"source={config.source} has no pictures in it")
    if config.max_images is not None:
        return Selection(source, range(min(config.max_images, len(source))))
    return source


def _finished(output: Path, settings: dict[str, Any]) -> Report | None:
    """The report of this very archive where it exists; `UserError` where `output` is something else."""
    if output.suffix != ".zip" or output.is_dir():
        raise UserError(f"output={output} is not the name of a zip file; take for example output={output}.zip")
    if not output.exists():
        return None
    if report_path(output).is_file():
        report = Report(**json.loads(report_path(output).read_text()))
        if report.settings == json.loads(json.dumps(settings)):
            return report
    raise UserError(f"output={output} exists and was made otherwise; delete it or choose another name")


def _report(
    output: str, settings: dict[str, Any], source: PictureSource, archive: GrowingZip, journal: Journal
) -> Report:
    skipped = [{"name": source.name(k), "reason": reason} for k, reason in journal.reasons().items()]
    if not archive.names:
        archive.path.unlink()
        journal.path.unlink()
        first = f"{skipped[0]['name']} {skipped[0]['reason']}"
        raise UserError(f"none of the {len(source)} pictures of {source.path} can be used; the first: {first}")
    return Report(output, settings, len(source), len(archive.names), journal.traits(), skipped)


def _labels(source: PictureSource, archive: GrowingZip, settings: dict[str, Any]) -> bytes:
    """`dataset.json`: labels as the NVIDIA layout has them, null where the source has none, and the settings."""
    labelled = [[name, source.labels(_place(name))] for name in archive.names]
    known = [pair for pair in labelled if pair[1] is not None]
    return json.dumps({"labels": known or None, "prepared": settings}).encode()


def _name(place: int) -> str:
    return f"{place // 1000:05d}/img{place:08d}.png"


def _place(name: str) -> int:
    return int(name[-12:-4])
