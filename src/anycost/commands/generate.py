"""`anycost generate`: pictures, arrays, style mixing and videos of a generator, at any architecture.

    anycost generate weights=logs/train/runs/NAME seeds=0-15 output=people.png
    anycost generate weights=NAME seeds=0-999 architecture=0.5@512 output=people/
    anycost generate weights=NAME seeds=0-99 output=people.npy
    anycost generate weights=NAME seeds=0-4 architectures=full,0.5,0.25@256 output=side_by_side.png
    anycost generate weights=NAME rows=0-3 columns=10-14 mixing_layers=0-3 output=mixing.png
    anycost generate weights=NAME seeds=0-5 output=loop.mp4

What is written follows from the name of output: FILE.png is a labelled grid (one picture alone: as it is), FILE.npy a
float32 array (N, 3, R, R) that is not clamped, FILE.mp4 a closed loop through the seeds, a folder one PNG for each.
"""

import math
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from anycost.commands.arguments import parse
from anycost.configuration.fields import MISSING, option
from anycost.errors import UserError
from anycost.generation.ranges import parse_seeds, repeated

KINDS = (".png", ".npy", ".mp4")
FOLDER = "folder"
_LATENTS = (".npy", ".npz", ".safetensors")
_OF_VIDEOS = ("frames", "fps", "crf", "grid", "interpolate")


@dataclass
class GenerateConfig:
    """Who is drawn, by what, and what becomes of it."""

    weights: str = option(MISSING, "weights file, run folder, pipeline folder, or OWNER/NAME on the hub", path=True)
    output: str = option(MISSING, "FILE.png, FILE.npy, FILE.mp4 or a folder")
    seeds: list[str] = option([], "who: 0-15,20; in a video the keyframes")
    latents: str | None = option(None, "instead of seeds: FILE.npy, .npz or .safetensors of z, w or W+", path=True)
    latents_in: str = option("w", "what files of latents hold", ("w", "z"))
    seeds_of: str = option("anycost", "whose faces the seeds are: nvidia, of its programs", ("anycost", "nvidia"))
    architecture: str | None = option(None, "one: full, 0.5@512, FILE.json:18G; default: full")
    architectures: list[str] = option([], "several, side by side: full,0.5,0.25@256 or FILE.json")
    noise: str = option("const", "noise maps: the generator's own, drawn by seed, none", ("const", "random", "none"))
    truncation: float = option(1.0, "psi: 1 changes nothing, 0 is the mean face, below it the opposite")
    truncation_cutoff: int | None = option(None, "truncate the first layers of W+ only, this many", at_least=0)
    rows: list[str] = option([], "style mixing: seeds or FILE.npy of the rows, who keep all other layers")
    columns: list[str] = option([], "style mixing: seeds or FILE.npy of the columns, who give the mixed layers")
    mixing_layers: list[str] = option([], "layers of the columns: 0-6; default: the first third")
    interpolate: str = option("w", "video: splines in w, or great circles in z", ("w", "z"))
    frames: int = option(60, "video: frames for each keyframe", at_least=1)
    fps: float = option(30.0, "video: frames a second", at_least=1)
    crf: int = option(18, "video: quality, 0 (lossless) to 51", at_least=0)
    grid: str = option("1x1", "video: 3x2 shows six loops, three in a row, which share the keyframes out")
    save_latents: str | None = option(None, "FILE.npy: the W+ codes of all that is drawn, truncated", path=True)
    dtype: str = option("auto", "auto: float32 for FILE.npy, else the fastest", ("auto", "float32", "bfloat16"))
    batch_size: int | None = option(None, "pictures of a forward pass; default: by resolution", at_least=1)
    accelerator: str = option("auto", "where to compute", ("auto", "cpu", "gpu"))
    threads: int | None = option(None, "CPU threads; default: the cores", at_least=1)


def main(arguments: Sequence[str]) -> int:
    """Draw, write, and say how fast."""
    config = parse(GenerateConfig, arguments, __doc__)
    if config is None:
        return 0
    kind = output_kind(config.output)
    check(config, kind, given={argument.partition("=")[0] for argument in arguments})
    from anycost.commands.generate_output import generate

    print(generate(config, kind))
    return 0


def output_kind(output: str) -> str:
    """`.png`, `.npy`, `.mp4` or `folder`: what a name asks for; raises `UserError` for any other."""
    if not output:
        raise UserError(f"output= names nothing; use {_endings()}, or a folder")
    path = Path(output).expanduser()
    if path.is_dir() or output.endswith(os.sep) or not path.suffix:
        if path.exists() and not path.is_dir():
            raise UserError(f"output={output} is a file, not a folder; choose another name, or one of {_endings()}")
        return FOLDER
    if path.suffix.lower() not in KINDS:
        raise UserError(
            f"output={output}: {path.suffix} is not written; use {_endings()}, or a folder with a / behind it"
        )
    return path.suffix.lower()


def check(config: GenerateConfig, kind: str, given: Collection[str]) -> None:
    """Raise `UserError` for options that contradict each other, before anything is loaded."""
    _check_people(config)
    if "seeds_of" in given and config.latents is not None:
        raise UserError(f"seeds_of={config.seeds_of} is for seeds, and latents={config.latents} are none; leave it out")
    if config.architecture is not None and config.architectures:
        raise UserError("architecture= and architectures= are given; use one of them")
    if not math.isfinite(config.truncation):
        raise UserError(f"truncation={config.truncation} is not a finite number; use 0.7, for example")
    if config.truncation_cutoff is not None and config.truncation == 1:
        raise UserError(f"truncation_cutoff={config.truncation_cutoff} does nothing with truncation=1; lower that too")
    if kind == FOLDER and config.seeds and (twice := repeated(parse_seeds(config.seeds))):
        raise UserError(f"seeds={','.join(config.seeds)} names {twice[0]} twice, and a folder has one file for each")
    if kind != ".mp4" and (unused := [key for key in _OF_VIDEOS if key in given]):
        raise UserError(f"{unused[0]}= is for videos, and output={config.output} is none; use output=FILE.mp4")
    if kind == ".mp4" and config.rows:
        raise UserError(f"output={config.output}: style mixing makes pictures; use FILE.png, FILE.npy or a folder")
    if config.crf > 51 or not math.isfinite(config.fps) or config.fps > 1000:
        raise UserError(f"crf={config.crf} fps={config.fps:g}: crf goes from 0 to 51, fps up to 1000")
    if config.save_latents is not None and Path(config.save_latents).suffix != ".npy":
        raise UserError(f"save_latents={config.save_latents}: the codes are a NumPy array; use FILE.npy")
    _check_files(config)
    video_grid(config.grid)


def _check_files(config: GenerateConfig) -> None:
    """Nothing may be written over what is read or written besides."""
    files = {
        "output": config.output, "latents": config.latents, "rows": latents_file(config.rows),
        "columns": latents_file(config.columns), "save_latents": config.save_latents,
    }  # fmt: skip
    seen: dict[Path, str] = {}
    for key, file in files.items():
        other = key if file is None else seen.setdefault(Path(file).expanduser().resolve(), key)
        if {key, other} - {"rows", "columns"} and key != other:
            raise UserError(f"{key}={file} is {other}= as well; use another name for one of them")


def _check_people(config: GenerateConfig) -> None:
    mixing = bool(config.rows or config.columns)
    if mixing and not (config.rows and config.columns):
        raise UserError("rows= and columns= belong together: the seeds of both sides of a mixing matrix")
    if config.mixing_layers and not mixing:
        raise UserError("mixing_layers= needs rows=SEEDS and columns=SEEDS: those who are mixed")
    ways = {"seeds=": bool(config.seeds), "latents=": config.latents is not None, "rows= and columns=": mixing}
    asked = [name for name, is_asked in ways.items() if is_asked]
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)} are given, which say who is drawn in different ways; use one of them")
    if not asked:
        raise UserError("seeds=... is needed, for example seeds=0-15; or latents=FILE.npy, or rows= and columns=")


def latents_file(texts: Sequence[str]) -> str | None:
    """The file of latents that a side of a mixing matrix names; None where it names seeds."""
    return texts[0] if len(texts) == 1 and texts[0].endswith(_LATENTS) else None


def video_grid(text: str) -> tuple[int, int]:
    """`3x2` -> three in a row, two rows; raises `UserError`."""
    match = re.fullmatch(r"([1-9][0-9]?)x([1-9][0-9]?)", text)
    if not match:
        raise UserError(f"grid={text} is not understood; use 2x2, for example: how many in a row, how many rows")
    return int(match[1]), int(match[2])


def _endings() -> str:
    return ", ".join(f"FILE{kind}" for kind in KINDS)
