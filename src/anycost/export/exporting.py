"""One export from beginning to end: made beside its final place, compared with the plain generator, then put there."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from anycost.errors import UserError
from anycost.export.npm import onnxruntime_web
from anycost.export.onnx_file import onnx_bytes, onnx_run, runtime_name
from anycost.export.programs import compile_package, package_run, program_bytes, program_run
from anycost.export.subject import HALF_TOLERANCE, TOLERANCE, Run, Subject
from anycost.export.timing import interleaved_medians
from anycost.export.web import check_folder, write_page
from anycost.export.weights_file import extracted_run, write_extracted
from anycost.files import explained_errors

ENDINGS = {"onnx": ".onnx", "torch_export": ".pt2", "aoti": ".pt2", "safetensors": ".safetensors", "web": ""}
"""What the name of each format ends in; a page is a folder."""


@dataclass(frozen=True)
class Exported:
    """What became of it: the largest difference to the plain generator, and milliseconds by who renders."""

    subject: Subject
    path: Path
    error: float
    tolerance: float
    milliseconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """What a page needs besides its subject."""

    seeds: int
    cache: Path
    onnxruntime_web: str | None = None


def check_output(kind: str, path: Path) -> None:
    """Raises `UserError` for a name that the format does not have, or a place that something else has."""
    if kind == "web":
        check_folder(path)
        return
    ending = ENDINGS[kind]
    if path.is_dir():
        raise UserError(f"output={path} is a folder; format={kind} writes a file: output={path}/NAME{ending}")
    if path.suffix != ending:
        raise UserError(f"output={path}: format={kind} writes a {ending} file, for example {path.stem}{ending}")


def export(kind: str, subject: Subject, path: Path, half: bool = False, page: Page | None = None) -> Exported:
    """Write `subject` as `kind`, one of `ENDINGS`, to `path`.

    Nothing is written that differs from the plain generator by more than the tolerance, which is `TOLERANCE`, or
    `HALF_TOLERANCE` where weights are stored in `half` precision. Raises `UserError`.
    """
    check_output(kind, path)
    tolerance = HALF_TOLERANCE if half else TOLERANCE
    if kind == "web":
        assert page is not None
        return _export_page(subject, path, half, tolerance, page)
    if kind == "safetensors":
        subject = replace(subject, latents_in="w", batch=None)
    with _beside(path) as aside:
        run, name = _write(kind, subject, aside, half)
        error = subject.check(run, tolerance)
        timed = _milliseconds(subject, run, name) if name else {}
    return Exported(subject, path, error, tolerance, timed)


def _write(kind: str, subject: Subject, path: Path, half: bool) -> tuple[Run, str]:
    """Write the file; returns what runs it, read back from the disk, and the name of who does."""
    if kind == "onnx":
        path.write_bytes(onnx_bytes(subject, half))
        return onnx_run(path.read_bytes()), runtime_name()
    if kind == "torch_export":
        path.write_bytes(program_bytes(subject))
        return program_run(path.read_bytes()), "torch.export"
    if kind == "aoti":
        compile_package(subject, path)
        return package_run(path), "AOTInductor"
    write_extracted(subject, path)
    return extracted_run(path), ""


def _export_page(subject: Subject, folder: Path, half: bool, tolerance: float, page: Page) -> Exported:
    package = onnxruntime_web(page.onnxruntime_web, page.cache)
    subject = replace(subject, latents_in="w_plus", batch=1)
    model = onnx_bytes(subject, half)
    run = onnx_run(model)
    error = subject.check(run, tolerance)
    write_page(subject, model, page.seeds, package, folder)
    return Exported(subject, folder, error, tolerance, _milliseconds(subject, run, runtime_name()))


def _milliseconds(subject: Subject, run: Run, name: str) -> dict[str, float]:
    inputs = subject.inputs(range(subject.batch or 1))
    return interleaved_medians({name: lambda: run(inputs), "plain": lambda: subject.expected(inputs)})


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A name in a folder beside `path`, of the same ending; what lies there at the end of the block becomes `path`."""
    with explained_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=".part", dir=path.parent) as folder:
            aside = Path(folder) / path.name
            yield aside
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(aside, path)
