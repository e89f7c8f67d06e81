"""Videos: loops side by side, as H.264 in an mp4 file that every player and browser shows."""

import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import ceil
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anycost.architecture import Architecture
from anycost.errors import UserError
from anycost.files import atomic_path
from anycost.generation.rendering import batch_for, render
from anycost.generation.styles import Styles
from anycost.grids import draw_labels
from anycost.runtime import Renderer
from anycost.sampling import to_uint8

SMALLEST = 256
"""Least side of a picture in a video; smaller ones are enlarged by a whole factor."""
_COLOURS = "bt709"  # unsaid, players guess by the size, and faces get another tint


def loop_frames(
    renderer: Renderer,
    loops: Sequence[tuple[Styles, Architecture]],
    across: int,
    labels: Sequence[str] = (),
    noise: str = "const",
    batch_size: int | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Frames `[height, width, 3]` of loops of one length, `across` in a row, under `labels` where they are given."""
    largest = max(architecture.resolution for _, architecture in loops)
    side, size = largest * max(SMALLEST // largest, 1), batch_size or batch_for(largest)
    strip = np.asarray(draw_labels(labels, side)) if labels else np.zeros((0, across * side, 3), np.uint8)
    streams = [render(renderer, styles, architecture, noise, size) for styles, architecture in loops]
    for batches in zip(*streams, strict=True):
        cells = [enlarged(to_uint8(batch), side) for batch in batches]
        for frame in tiled(cells, across).permute(0, 2, 3, 1).numpy():
            yield np.concatenate([strip, frame])


def enlarged(images: Tensor, side: int) -> Tensor:
    """`[B, 3, r, r]` -> `[B, 3, side, side]` by a whole factor, nearest."""
    factor = side // images.shape[-1]
    return images.repeat_interleave(factor, -1).repeat_interleave(factor, -2)


def tiled(cells: Sequence[Tensor], across: int) -> Tensor:
    """Pictures `[B, 3, s, s]` beside each other, `across` in a row -> `[B, 3, rows s, across s]`; the rest is black."""
    missing = ceil(len(cells) / across) * across - len(cells)
    full = [*cells, *[torch.zeros_like(cells[0])] * missing]
    rows = [torch.cat(full[start : start + across], dim=-1) for start in range(0, len(full), across)]
    return torch.cat(rows, dim=-2)


def write_video(path: Path | str, frames: Iterable[NDArray[np.uint8]], fps: float = 30, crf: int = 18) -> int:
    """Encode uint8 frames `[height, width, 3]`, all of one size; returns their number.

    H.264, yuv420p, to the side and then renamed; an odd height or width gets one more line, a copy of the last.
    `crf` is the quality, 0 (lossless) to 51; 18 looks like the original. Raises `UserError` without ffmpeg.
    """
    path, ffmpeg, left = Path(path), find_ffmpeg(), iter(frames)
    first = next(left, None)
    if first is None:
        raise UserError(f"cannot write {path}: there are no frames")
    height, width = (length + length % 2 for length in first.shape[:2])
    with atomic_path(path) as aside, tempfile.TemporaryFile() as log:
        command = _command(ffmpeg, f"{width}x{height}", fps, crf, aside)
        # In a session of its own, Ctrl-C reaches this program alone, which then ends ffmpeg.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
        )
        try:
            assert process.stdin is not None
            count = _feed(process.stdin, chain([first], left), (height, width))
            status = process.wait()
        except BrokenPipeError:
            status, count = process.wait(), 0
        except BaseException:
            process.kill()
            process.wait()
            raise
        if status or not count:
            raise UserError(f"cannot write {path}: {_cause(log)}")
    return count


def find_ffmpeg() -> str:
    """The program of imageio-ffmpeg, else the machine's own; `UserError` where there is neither."""
    if importlib.util.find_spec("imageio_ffmpeg"):
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    if own := shutil.which("ffmpeg"):
        return own
    raise UserError('a video needs ffmpeg, which is not installed; run pip install -e ".[video]"')


def _command(ffmpeg: str, size: str, fps: float, crf: int, path: Path) -> list[str]:
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", f"{fps:g}", "-i", "-"]
    said = f"setparams=colorspace={_COLOURS}:color_primaries={_COLOURS}:color_trc={_COLOURS}:range=tv"
    colours = ["-vf", f"scale=out_color_matrix={_COLOURS}:out_range=tv,{said}"]
    coding = ["-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", str(crf), "-movflags", "+faststart"]
    return [ffmpeg, "-y", "-v", "error", *source, *colours, *coding, "-f", "mp4", str(path)]


def _feed(pipe: IO[bytes], frames: Iterable[NDArray[np.uint8]], size: tuple[int, int]) -> int:
    count = 0
    with pipe:
        for frame in frames:
            more = [(0, wanted - have) for wanted, have in zip(size, frame.shape[:2], strict=True)]
            pipe.write(np.pad(frame, [*more, (0, 0)], mode="edge").tobytes())
            count += 1
    return count


def _cause(log: IO[bytes]) -> str:
    log.seek(0)
    said = log.read().decode(errors="replace").strip()
    if "No space left on device" in said:  # its last line may then be of what follows from that
        return "the disk is full; free some space and run the same command again"
    return f"ffmpeg stopped: {said.splitlines()[-1] if said else 'it says nothing of why'}"
