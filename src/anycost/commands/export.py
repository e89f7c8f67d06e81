"""`anycost export`: one sub-generator for other programs: ONNX, torch.export, AOTInductor, weights alone, a web page.

    anycost export weights=logs/train/runs/NAME architecture=0.5@32 format=onnx output=preview.onnx
    anycost export weights=NAME architecture=full format=aoti output=full.pt2
    anycost export weights=NAME architecture=0.5 format=safetensors output=small.safetensors
    anycost export weights=NAME architecture=0.5@32 format=web output=page

Inputs are w (or W+, or z with truncation) and noise_strength (0: none, 1: as trained), the output is the image. Before
anything is left on the disk, it is run and compared with the plain generator. docs/export.md says how to load each.
"""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anycost.commands import machine
from anycost.commands.arguments import parse
from anycost.configuration.fields import MISSING, option
from anycost.errors import UserError

if TYPE_CHECKING:
    from anycost.export.exporting import Exported
    from anycost.export.subject import Subject

FORMATS = ("onnx", "torch_export", "aoti", "safetensors", "web")
_GRAPHS = ("onnx", "torch_export", "aoti")
_USED_BY = {
    "latents_in": _GRAPHS,
    "batch_size": _GRAPHS,
    "dtype": ("onnx", "web"),
    "seeds": ("web",),
    "onnxruntime_web": ("web",),
    "cache": ("web",),
}
"""Options that some formats alone have a use for."""
_MOST_SEEDS = 10_000
_MOST_PICTURES = 1000


@dataclass
class ExportConfig:
    """What is exported, and as what."""

    weights: str = option(MISSING, "weights file, run folder, pipeline folder, or OWNER/NAME on the hub", path=True)
    output: str = option(MISSING, "FILE.onnx, FILE.pt2, FILE.safetensors, or a folder for a web page", path=True)
    format: str = option("onnx", "what is written", FORMATS)
    architecture: str = option("full", "full, 0.5@512, FILE.json:18G")
    latents_in: str = option("w", "inputs: w, w_plus (a style per layer), z (with truncation)", ("w", "w_plus", "z"))
    batch_size: str = option("dynamic", "pictures of one call: dynamic (any number), or a number")
    dtype: str = option("float32", "onnx, web: float16 stores weights in half the bytes", ("float32", "float16"))
    seeds: int = option(256, "web: how many seeds, from 0 up, the page knows", at_least=1)
    onnxruntime_web: str | None = option(None, "web: unpacked npm package; default: fetched once", path=True)
    threads: int | None = option(None, "CPU threads of the comparison; default: the cores", at_least=1)
    cache: str | None = option(None, "web: the npm package; default: $ANYCOST_CACHE or ~/.cache/anycost", path=True)


def main(arguments: Sequence[str]) -> int:
    """Export, and say how close it is and how fast."""
    config = parse(ExportConfig, arguments, __doc__)
    if config is None:
        return 0
    check(config, given={argument.partition("=")[0] for argument in arguments})
    import torch

    from anycost.export.exporting import Page, check_output, export

    output = Path(config.output)
    check_output(config.format, output)
    torch.set_num_threads(machine.threads(config.threads))
    page = Page(config.seeds, machine.cache_folder(config.cache), config.onnxruntime_web)
    exported = export(config.format, open_subject(config), output, config.dtype == "float16", page)
    print(report(exported, config.format))
    return 0


def check(config: ExportConfig, given: Collection[str]) -> None:
    """Raise `UserError` for options that the format has no use for."""
    for name, formats in _USED_BY.items():
        if name in given and config.format not in formats:
            raise UserError(f"{name}= means nothing to format={config.format}; it is for {', '.join(formats)}")
    if config.batch_size != "dynamic" and (not config.batch_size.isdecimal() or int(config.batch_size) < 1):
        raise UserError(f"batch_size={config.batch_size} is neither dynamic nor a whole number from 1 up")
    if config.batch_size != "dynamic" and int(config.batch_size) > _MOST_PICTURES:
        raise UserError(f"batch_size={config.batch_size}: the comparison makes as many; {_MOST_PICTURES} are the most")
    if config.seeds > _MOST_SEEDS:
        raise UserError(f"seeds={config.seeds}: a page carries the styles of each; {_MOST_SEEDS} are the most")


def open_subject(config: ExportConfig) -> "Subject":
    """The sub-generator that the options name."""
    from anycost.export.subject import Subject
    from anycost.interchange.locating import find_weights, open_generator, weights_identity

    file = find_weights(config.weights)
    if Path(config.output).resolve() == file.resolve():
        raise UserError(f"output={config.output} is the weights file itself, which is not written over; name another")
    generator, header = open_generator(file)
    architecture = generator.space.parse(config.architecture)
    batch = None if config.batch_size == "dynamic" else int(config.batch_size)
    return Subject(
        generator, header, weights_name(config.weights, file), weights_identity(file), architecture,
        config.architecture, config.latents_in, batch,
    )  # fmt: skip


def weights_name(asked: str, file: Path) -> str:
    """What a reader elsewhere can make of `file`, which was `asked` for: its name, its run's, or the one on the hub."""
    if not Path(asked).exists():
        return asked.removeprefix("hf://")
    if file.name != "weights.safetensors":
        return file.stem
    run = file.resolve().parent
    return f"{run.parent.name}/{run.name}" if run.name in ("stylegan2", "multires", "ada_ch") else run.name


def report(exported: "Exported", kind: str) -> str:
    """What was written, and what was measured on the way."""
    subject, path = exported.subject, exported.path
    lines = [f"{subject.label} of {subject.name}"]
    if kind in _GRAPHS:
        lines.append(f"inputs:  {subject.signature}")
    lines.append(f"agrees:  largest difference to the plain generator {exported.error:.1e}, "
                 f"{exported.tolerance:.0e} allowed")  # fmt: skip
    if exported.milliseconds:
        import torch

        times = ", ".join(f"{milliseconds:.1f} ms {name}" for name, milliseconds in exported.milliseconds.items())
        lines.append(f"speed:   {times} (batch {subject.batch or 1}, {torch.get_num_threads()} threads)")
    size = sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))
    lines.append(f"written: {path}, {size / 1e6:.1f} MB")
    if kind == "web":
        serve = f"python -m http.server --directory {shlex.quote(str(path))}"
        lines.append(f"open:    {path / 'index.html'} with a browser; or: {serve}")
    return "\n".join(lines)
