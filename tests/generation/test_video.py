"""Videos: read back frame by frame; what stops in the middle leaves nothing, what was there before stays."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from anycost.errors import UserError
from anycost.generation.interpolation import loop_styles
from anycost.generation.rendering import render
from anycost.generation.styles import seed_styles
from anycost.generation.video import enlarged, find_ffmpeg, loop_frames, tiled, write_video
from anycost.networks.generator import Generator
from anycost.runtime import Renderer
from anycost.sampling import seeded_latents, to_uint8

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


def read(path: Path) -> tuple[dict, NDArray[np.uint8]]:
    """What the file says of itself, and its frames `[T, height, width, 3]`."""
    reader = imageio_ffmpeg.read_frames(path)
    about = next(reader)
    width, height = about["size"]
    return about, np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])


def ramps(count: int, height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """Smooth coloured frames that move: what a lossy codec keeps."""
    y, x = np.mgrid[:height, :width]
    for t in range(count):
        yield np.stack([40 + 2 * t + x / 2, 200 - y / 2, np.full_like(x, 90 + 3 * t)], -1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("height", "width", "fps"), [(64, 96, 30), (63, 97, 12.5), (65, 64, 24)])
def test_a_video_is_what_was_written(tmp_path: Path, height: int, width: int, fps: float) -> None:
    """Number, size, speed, colours; odd sides get one more line."""
    path = tmp_path / "new folder" / "a.mp4"
    assert write_video(path, ramps(23, height, width), fps) == 23
    about, frames = read(path)
    assert about["fps"] == pytest.approx(fps)
    assert about["codec"] == "h264"
    assert about["pix_fmt"].startswith("yuv420p")
    assert about["duration"] == pytest.approx(23 / fps, abs=0.02)
    assert frames.shape == (23, height + height % 2, width + width % 2, 3)
    for frame, original in zip(frames, ramps(23, height, width), strict=True):
        assert abs(frame[:height, :width].astype(int) - original).mean() < 2.5
    assert abs(frames[:, height - 1].astype(int) - frames[:, -1]).max() <= 12
    assert b"moov" in path.read_bytes()[:200], "players and browsers start before they have it all"
    assert [file.name for file in path.parent.iterdir()] == ["a.mp4"]


def test_quality_is_crf(tmp_path: Path) -> None:
    noise = list(np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), dtype=np.uint8))
    sizes = []
    for crf in (0, 18, 40):
        write_video(tmp_path / "a.mp4", noise, crf=crf)
        sizes.append((tmp_path / "a.mp4").stat().st_size)
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_stop_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    def stopping() -> Iterator[NDArray[np.uint8]]:
        yield from ramps(5, 64, 64)
        raise error

    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(error):
        write_video(tmp_path / "a.mp4", stopping())
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "old"


def test_a_kill_leaves_no_video(tmp_path: Path) -> None:
    """SIGKILL in the middle; ffmpeg, which is left alone, ends too."""
    program = (
        "import sys, time, numpy as np\n"
        "from anycost.generation.video import write_video\n"
        "def frames():\n"
        "    while True:\n"
        "        yield np.zeros((64, 64, 3), np.uint8)\n"
        "        print('frame', flush=True); time.sleep(0.01)\n"
        f"write_video({str(tmp_path / 'a.mp4')!r}, frames())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"frame\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "a.mp4").exists()
    (aside,) = tmp_path.iterdir()
    deadline = time.monotonic() + 200
    while _is_open(aside) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_open(aside)


def _is_open(file: Path) -> bool:
    """Whether any process has it open (Linux)."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.samefile(file):
                return True
        except OSError:
            continue
    return False


def test_no_frames_are_no_video(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no frames"):
        write_video(tmp_path / "a.mp4", iter([]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("reads", ["", "head -c 100000 >/dev/null;", "cat >/dev/null;"])
@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("Unknown encoder", "ffmpeg stopped: Unknown encoder"),
        ("[mp4] header: No space left on device\nNothing was written", "the disk is full; free some space"),
    ],
)
def test_what_ffmpeg_says_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: str, says: str, message: str
) -> None:
    """It fails at once, in the middle of the frames, or after the last one."""
    program, folder = tmp_path / "ffmpeg", tmp_path / "videos"
    program.write_text(f"#!/bin/sh\n{reads} printf 'first\n{says}\n' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("anycost.generation.video.find_ffmpeg", lambda: str(program))
    with pytest.raises(UserError, match=rf"cannot write .*a\.mp4: {message}"):
        write_video(folder / "a.mp4", ramps(100, 64, 64))
    assert not list(folder.iterdir())


def test_ffmpeg_of_the_machine_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: "/opt/ffmpeg")
    assert find_ffmpeg() == "/opt/ffmpeg"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r'a video needs ffmpeg.*pip install -e "\.\[video\]"'):
        find_ffmpeg()


# ---- frames


def test_small_pictures_are_enlarged_whole(renderer: Renderer, generator: Generator) -> None:
    """32 px become 256, and every pixel a square of eight."""
    styles = seed_styles(generator, [0, 1, 2])
    full = generator.space.full()
    frames = np.stack(list(loop_frames(renderer, [(styles, full)], 1, batch_size=2)))
    assert frames.shape == (3, 256, 256, 3)
    images = to_uint8(torch.cat(list(render(renderer, styles, full)))).permute(0, 2, 3, 1).numpy()
    for offset in (0, 7):
        shown = frames[:, offset::8, offset::8].astype(int)
        assert abs(shown - images).max() <= 1, "but for the last digit: batches of other sizes add up differently"


def test_several_architectures_stand_under_their_names(renderer: Renderer, generator: Generator) -> None:
    styles = seed_styles(generator, [0, 1])
    small = generator.space.uniform(0.5, 16)
    cells = [(styles, generator.space.full()), (styles, small)]
    frames = np.stack(list(loop_frames(renderer, cells, 2, ["full", "0.5@16"])))
    assert frames.shape == (2, 256 + 24, 512, 3)
    assert frames[0, :24, :256].min() < 100
    assert frames[0, :24, 256:].min() < 100
    images = to_uint8(torch.cat(list(render(renderer, styles, small)))).permute(0, 2, 3, 1).numpy()
    assert abs(frames[:, 24::16, 256::16].astype(int) - images).max() <= 1


def test_loops_share_a_frame() -> None:
    cells = [torch.full((2, 3, 4, 4), value, dtype=torch.uint8) for value in (1, 2, 3)]
    whole = tiled(cells, 2)
    assert whole.shape == (2, 3, 8, 8)
    assert whole[0, 0, ::4, ::4].tolist() == [[1, 2], [3, 0]]
    assert enlarged(cells[0], 8).shape == (2, 3, 8, 8)


def test_a_loop_closes_in_pictures(renderer: Renderer, generator: Generator) -> None:
    """The step from the last frame to the first is like its neighbours: neither a jump nor a rest."""
    for where in ("w", "z"):
        styles = loop_styles(generator, seeded_latents(generator, [0, 1, 2]), "z", 20, where)
        images = torch.cat(list(render(renderer, styles, generator.space.full())))
        steps = (images.roll(-1, 0) - images).flatten(1).norm(dim=1)
        assert steps[-1] <= 1.5 * max(steps[-2], steps[0])
        assert steps[-1] >= 0.3 * min(steps[-2], steps[0])
