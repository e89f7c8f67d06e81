"""What `anycost generate` does behind its options: opens the generator, finds who is drawn, writes the output."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from anycost.architecture import Architecture
from anycost.commands import machine
from anycost.commands.generate import FOLDER, GenerateConfig, latents_file, video_grid
from anycost.errors import UserError
from anycost.files import explained_errors
from anycost.generation.arrays import write_array
from anycost.generation.interpolation import loop_styles
from anycost.generation.latents import latent_styles, read_latents, to_tensor
from anycost.generation.mixing import default_layers, mixing_styles
from anycost.generation.pictures import draw_mixing, draw_people, file_names, tiles, write_pictures
from anycost.generation.ranges import parse_layers, parse_seeds
from anycost.generation.rendering import render
from anycost.generation.styles import Styles, Truncation, seed_styles
from anycost.generation.video import loop_frames, write_video
from anycost.grids import save_png, to_picture
from anycost.interchange.locating import open_generator
from anycost.networks.generator import Generator
from anycost.runtime import Renderer
from anycost.sampling import seeded_latents, to_uint8

MOST_TILES = 1024
"""Pictures of a grid: more would be tens of thousands of pixels wide."""
MOST_KEYFRAMES = 1000

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")


class Meter:
    """A bar of progress, and the speed at the end."""

    def __init__(self) -> None:
        columns = (TextColumn("generating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task("generating", total=None)
        self.done, self.start = 0, time.perf_counter()

    def expect(self, total: int) -> None:
        self.bar.update(self.task, total=total)

    def counted(self, items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[Item]:
        """The same items; each counts when the next one is asked for."""
        for item in items:
            yield item
            self.done += size(item)
            self.bar.update(self.task, completed=self.done)

    def speed(self, unit: str) -> str:
        seconds = time.perf_counter() - self.start
        rate = self.done / seconds
        shown = f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"
        return f"{self.done} {unit}{'s' if self.done > 1 else ''} in {seconds:.1f} s, {shown} a second"


@dataclass
class Scene:
    """A generator ready to draw, and how it is to draw."""

    config: GenerateConfig
    output: Path
    renderer: Renderer
    architectures: dict[str, Architecture]
    truncation: Truncation
    meter: Meter

    @property
    def generator(self) -> Generator:
        return self.renderer.generator

    def render(self, styles: Styles, architecture: Architecture) -> "Iterator[Tensor]":
        """Batches of pictures, counted."""
        batches = render(self.renderer, styles, architecture, self.config.noise, self.config.batch_size)
        return self.meter.counted(batches, len)


def generate(config: GenerateConfig, kind: str) -> str:
    """Write what `config` asks for; returns a line for the user. Raises `UserError` for all that stands in the way."""
    output = Path(config.output).expanduser()
    check_writable(output, output if kind == FOLDER else output.parent)
    if config.save_latents is not None:
        check_writable(Path(config.save_latents), Path(config.save_latents).parent)
    scene = open_scene(config, kind, output)
    with scene.meter.bar:
        if kind == ".mp4":
            write_loops(scene)
        elif config.rows:
            write_mixing(scene, kind)
        else:
            write_people(scene, people(scene), kind)
    dtype = str(scene.renderer.dtype).removeprefix("torch.")
    return f"{config.output}: {scene.meter.speed('frame' if kind == '.mp4' else 'picture')} ({dtype})"


def check_writable(path: Path, folder: Path) -> None:
    """Raise `UserError`, before the work, where nothing can be made in `folder`, which need not exist, for `path`."""
    with explained_errors(path):
        there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=there):
            pass


def open_scene(config: GenerateConfig, kind: str, output: Path) -> Scene:
    """The generator with its weights, on the device that was asked for."""
    generator = open_generator(config.weights)[0].to(machine.device(config.accelerator))
    dtype = "float32" if config.dtype == "auto" and kind == ".npy" else config.dtype
    if config.architectures:
        architectures = generator.space.parse_list(config.architectures)
    else:
        text = config.architecture or "full"
        architectures = {text: generator.space.parse(text)}
    truncation = Truncation.of(generator, config.truncation, config.truncation_cutoff)
    renderer = Renderer(generator, dtype, threads=machine.threads(config.threads))
    return Scene(config, output, renderer, architectures, truncation, Meter())


def people(scene: Scene) -> Styles:
    """Those of the seeds or of the file of latents."""
    config = scene.config
    if config.latents is None:
        return seed_styles(scene.generator, parse_seeds(config.seeds), scene.truncation, config.seeds_of)
    codes = read_latents(config.latents, scene.generator, config.latents_in)
    return latent_styles(scene.generator, codes, config.latents_in, scene.truncation)


# ---- pictures and arrays


def write_people(scene: Scene, styles: Styles, kind: str) -> None:
    """As a grid, an array, or a folder with a folder in it for each of several architectures."""
    scene.meter.expect(len(styles) * len(scene.architectures))
    if kind == ".png":
        write_grid(scene, styles)
    elif kind == ".npy":
        architecture = only_architecture(scene)
        shape = (len(styles), 3, architecture.resolution, architecture.resolution)
        write_array(scene.output, scene.render(styles, architecture), shape)
    else:
        several = len(scene.architectures) > 1
        names = file_names(scene.architectures)
        for name, architecture in zip(names, scene.architectures.values(), strict=True):
            folder = scene.output / name if several else scene.output
            write_pictures(folder, styles.names, scene.render(styles, architecture))
    save_latents(scene, [styles])


def write_grid(scene: Scene, styles: Styles) -> None:
    """Rows of people under columns of architectures, a square of people, or the one picture that it is."""
    check_tiles(len(styles) * len(scene.architectures))
    if len(styles) == len(scene.architectures) == 1:
        (image,) = scene.render(styles, only_architecture(scene))
        save_png(to_picture(to_uint8(image)[0]), scene.output)
        return
    columns = {label: tiles(scene.render(styles, one)) for label, one in scene.architectures.items()}
    save_png(draw_people(columns, styles.names), scene.output)


def write_mixing(scene: Scene, kind: str) -> None:
    """The matrix with its sources as one picture; as a folder or an array, the mixed people row by row."""
    config = scene.config
    architecture = only_architecture(scene)
    layers = mixing_layers(scene, architecture)
    rows, columns = mixing_side(scene, "rows", config.rows), mixing_side(scene, "columns", config.columns)
    mixed = mixing_styles(rows, columns, layers)
    if kind != ".png":
        write_people(scene, mixed, kind)
        return
    check_tiles((len(rows) + 1) * (len(columns) + 1))
    scene.meter.expect(len(rows) + len(columns) + len(mixed))
    left, above, inside = (tiles(scene.render(one, architecture)) for one in (rows, columns, mixed))
    sources = dict(zip(rows.names, left, strict=True)), dict(zip(columns.names, above, strict=True))
    save_png(draw_mixing(*sources, inside), scene.output)
    save_latents(scene, [mixed])


def mixing_side(scene: Scene, key: str, texts: list[str]) -> Styles:
    """The people of the rows or of the columns: of seeds, or of a file of latents."""
    config, generator = scene.config, scene.generator
    file = latents_file(texts)
    if file is None:
        return seed_styles(generator, mixing_seeds(texts, key), scene.truncation, config.seeds_of)
    codes = read_latents(file, generator, config.latents_in, key)
    if len(codes) > MOST_TILES:
        raise UserError(f"{key}={file} has {len(codes)} latents; at most {MOST_TILES} make a side of the matrix")
    return latent_styles(generator, codes, config.latents_in, scene.truncation)


def mixing_seeds(texts: list[str], key: str) -> list[int]:
    """Seeds of one side of the matrix, each once."""
    seeds = parse_seeds(texts, key)
    if len(set(seeds)) < len(seeds) or len(seeds) > MOST_TILES:
        raise UserError(f"{key}={','.join(texts)}: at most {MOST_TILES} seeds, each once, make a side of the matrix")
    return seeds


def mixing_layers(scene: Scene, architecture: Architecture) -> list[int]:
    """Which layers the columns give; raises `UserError` where the architecture runs none of them."""
    texts, count = scene.config.mixing_layers, scene.generator.num_styles
    layers = parse_layers(texts, count, "mixing_layers") if texts else default_layers(count)
    run = len(architecture.key[1])
    if layers[0] >= run:
        raise UserError(
            f"mixing_layers={','.join(texts)}: at {architecture.resolution} px only the layers 0 to {run - 1} are run"
        )
    return layers


def check_tiles(count: int) -> None:
    """Raise `UserError` for grids that no viewer opens."""
    if count > MOST_TILES:
        raise UserError(
            f"{count} pictures are too many for one grid (at most {MOST_TILES}); use output=FOLDER/ or FILE.npy"
        )


def only_architecture(scene: Scene) -> Architecture:
    """The one there is; raises `UserError` where several are given."""
    if len(scene.architectures) > 1:
        raise UserError(
            f"architectures={','.join(scene.architectures)}: output={scene.config.output} takes one; name one"
        )
    return next(iter(scene.architectures.values()))


def save_latents(scene: Scene, parts: list[Styles]) -> None:
    """The W+ codes of all parts, as rendered, where they are asked for."""
    if scene.config.save_latents is None:
        return
    codes = (part.batch(start, min(start + 1024, len(part))) for part in parts for start in range(0, len(part), 1024))
    shape = (sum(map(len, parts)), scene.generator.num_styles, scene.generator.latent_dim)
    write_array(scene.config.save_latents, codes, shape)


# ---- videos


def write_loops(scene: Scene) -> None:
    """One loop, or several in a grid, or one at several architectures side by side under their names."""
    across, down = video_grid(scene.config.grid)
    loops = video_loops(scene, across * down)
    if len(scene.architectures) > 1:
        if len(loops) > 1:
            raise UserError(f"grid={scene.config.grid} and several architectures are given; use one of them")
        across, labels = len(scene.architectures), list(scene.architectures)
    else:
        labels = []
    cells = [(loop, architecture) for loop in loops for architecture in scene.architectures.values()]
    frames = loop_frames(scene.renderer, cells, across, labels, scene.config.noise, scene.config.batch_size)
    scene.meter.expect(len(loops[0]))
    write_video(scene.output, scene.meter.counted(frames, lambda _: 1), scene.config.fps, scene.config.crf)
    save_latents(scene, loops)


def video_loops(scene: Scene, count: int) -> list[Styles]:
    """`count` loops of equal length: the first gets the first of the keyframes, and so on."""
    config = scene.config
    if config.latents is None:
        seeds = parse_seeds(config.seeds)
        check_keyframes(len(seeds), count, f"seeds={','.join(config.seeds)}", config.grid)
        codes, latents_in = seeded_latents(scene.generator, seeds, config.seeds_of), "z"
    else:
        array = read_latents(config.latents, scene.generator, config.latents_in)
        check_keyframes(len(array), count, f"latents={config.latents}", config.grid)
        codes, latents_in, seeds = to_tensor(array), config.latents_in, list(range(len(array)))
    each = len(codes) // count
    return [
        loop_styles(
            scene.generator,
            codes[start : start + each],
            latents_in,
            config.frames,
            config.interpolate,
            scene.truncation,
            seeds[start],
        )
        for start in range(0, len(codes), each)
    ]


def check_keyframes(keyframes: int, loops: int, given: str, grid: str) -> None:
    """Raise `UserError` where loops cannot share the keyframes out evenly, or there are too many."""
    if keyframes > MOST_KEYFRAMES:
        raise UserError(f"{given} are {keyframes} keyframes; a video takes at most {MOST_KEYFRAMES}")
    if keyframes % loops:
        raise UserError(
            f"{given} are {keyframes} keyframes, which the {loops} loops of grid={grid} cannot share evenly"
        )
