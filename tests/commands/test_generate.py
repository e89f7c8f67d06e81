"""`anycost generate` from its arguments to its files, on a tiny generator."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.commands.generate import output_kind
from anycost.errors import UserError
from anycost.interchange.weights import generator_header, generator_tensors, write_weights
from anycost.networks.generator import Generator
from anycost.sampling import sample, seeded_latents, to_uint8

SPACE = ArchitectureSpace(32, 0.125, 64, 3)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    generator = Generator(SPACE, latent_dim=16, mapping_layers=2)
    for layer in generator.layers:
        torch.nn.init.constant_(layer.noise_strength, 0.3)
    return generator.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def weights(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, of a name that is hard to type."""
    folder = tmp_path_factory.mktemp("runs") / "tiny, [a=1]"
    folder.mkdir()
    write_weights(folder / "weights.safetensors", generator_tensors(generator), generator_header(generator))
    return folder


@pytest.fixture
def run(weights: Path, capsys: pytest.CaptureFixture[str]):
    """`run(...)`: what the command prints; it must succeed."""

    def call(*arguments: str) -> str:
        assert main(["generate", f"weights={weights}", "threads=1", *arguments]) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture
def refused(weights: Path, capsys: pytest.CaptureFixture[str]):
    """`refused(...)`: the one line of the error; nothing may be left behind."""

    def call(*arguments: str) -> str:
        before = sorted(Path().rglob("*"))
        usual = [] if any(one.startswith("weights=") for one in arguments) else [f"weights={weights}"]
        assert main(["generate", *usual, "threads=1", *arguments]) == 2
        assert sorted(Path().rglob("*")) == before
        return capsys.readouterr().err

    return call


def expected(generator: Generator, seeds: list[int], text: str = "full", noise: str = "const", psi: float = 1.0):
    records = sample(generator, generator.space.parse(text), seeds, 8, noise, psi)
    return torch.cat([record.images for record in records])


def pixels(path: Path | str) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def close(path: Path | str, image: torch.Tensor) -> bool:
    """The same picture but for the last digit."""
    return abs(pixels(path) - to_uint8(image).permute(1, 2, 0).numpy()).max() <= 1


# ---- arrays


@pytest.mark.parametrize(
    ("text", "noise", "psi"), [("full", "const", 1.0), ("0.5@16", "random", 0.6), ("0.25", "none", 1.0)]
)
def test_an_array_is_what_sampling_shows(run, generator: Generator, text: str, noise: str, psi: float) -> None:
    out = run("seeds=0-2,7", f"architecture={text}", f"noise={noise}", f"truncation={psi}", "output=new/x.npy")
    assert re.fullmatch(r"new/x\.npy: 4 pictures in [\d.]+ s, [\d.]+ a second \(float32\)\n", out)
    array = np.load("new/x.npy")
    reference = expected(generator, [0, 1, 2, 7], text, noise, psi).numpy()
    assert array.dtype == np.float32
    assert array.shape == reference.shape
    assert np.linalg.norm(array - reference) <= 1e-5 * np.linalg.norm(reference)
    assert abs(array).max() > 1, "not clamped"


def test_latents_saved_and_read_give_the_same(run) -> None:
    """Truncated once, not twice; a single projected face has no axis of people."""
    run("seeds=3-5", "truncation=0.5", "output=a.npy", "save_latents=w.npy")
    codes = np.load("w.npy")
    assert codes.shape == (3, 8, 16)
    run("latents=w.npy", "output=b.npy")
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    np.save("one.npy", codes[1].astype(np.float64))
    run("latents=one.npy", "output=c.npy")
    np.testing.assert_allclose(np.load("c.npy"), np.load("a.npy")[1:2], rtol=1e-4, atol=1e-5)


def test_latents_in_z(run, generator: Generator) -> None:
    z = np.random.default_rng(0).normal(size=(3, 16))
    np.save("z.npy", z)
    run("latents=z.npy", "latents_in=z", "output=a.npy")
    np.testing.assert_allclose(np.load("a.npy"), generator(torch.from_numpy(z)).numpy(), rtol=1e-4, atol=1e-4)


def test_seeds_of_nvidia(run, generator: Generator) -> None:
    """The faces under which its users know a seed, in every kind of output; arrays of the default stay as they were."""
    z = np.concatenate([np.random.RandomState(seed).randn(1, 16) for seed in (0, 1, 85)])
    np.save("z.npy", z)
    run("latents=z.npy", "latents_in=z", "truncation=0.5", "output=z_images.npy", "save_latents=w.npy")
    run("seeds=0,1,85", "seeds_of=nvidia", "truncation=0.5", "output=a.npy")
    np.testing.assert_allclose(np.load("a.npy"), np.load("z_images.npy"), rtol=1e-5, atol=1e-5)
    run("rows=0-1", "columns=85", "seeds_of=nvidia", "truncation=0.5", "output=m.npy", "save_latents=m_w.npy")
    w = np.load("w.npy")
    mixed = np.concatenate([w[[2, 2], :3], w[:2, 3:]], axis=1)
    np.testing.assert_allclose(np.load("m_w.npy"), mixed, rtol=1e-5, atol=1e-6)
    run("seeds=0,1,85", "truncation=0.5", "output=b.npy")
    assert abs(np.load("a.npy") - np.load("b.npy")).max() > 0.1


def test_negative_psi_gives_the_opposite(run, generator: Generator) -> None:
    run("seeds=3", "truncation=-1", "output=a.npy", "save_latents=w.npy")
    w, center = generator.styles(seeded_latents(generator, [3])).numpy(), generator.truncation_center().numpy()
    np.testing.assert_allclose(np.load("w.npy"), 2 * center - w, rtol=1e-4, atol=1e-5)


def test_mixing_projected_faces(run) -> None:
    codes = np.random.default_rng(0).normal(size=(2, 8, 16)).astype(np.float32)
    np.save("w.npy", codes)
    np.savez("projected_w.npz", w=codes[:1])
    run("rows=w.npy", "columns=projected_w.npz", "mixing_layers=0-1", "output=m/", "save_latents=m.npy")
    expected = np.stack([np.concatenate([codes[0, :2], row[2:]]) for row in codes])
    np.testing.assert_array_equal(np.load("m.npy"), expected)
    assert sorted(path.name for path in Path("m").iterdir()) == [
        "latent0000_latent0000.png", "latent0001_latent0000.png",
    ]  # fmt: skip
    run("rows=w.npy", "columns=w.npy", "output=m.png")
    run("rows=w.npy", "columns=5-6", "output=m.png")
    assert Image.open("m.png").height == 24 + 3 * 130 - 2


def test_bfloat16_is_near(run) -> None:
    run("seeds=0-7", "output=a.npy")
    assert "(bfloat16)" in run("seeds=0-7", "output=b.npy", "dtype=bfloat16")
    exact, near = np.load("a.npy"), np.load("b.npy")
    assert 0 < np.linalg.norm(near - exact) < 0.02 * np.linalg.norm(exact)


# ---- pictures


def test_a_folder_has_a_picture_for_each(run, generator: Generator) -> None:
    run("seeds=9,12345", "noise=random", "output=people/", "dtype=float32")
    assert sorted(file.name for file in Path("people").iterdir()) == ["seed0009.png", "seed12345.png"]
    images = expected(generator, [9, 12345], noise="random")
    assert close("people/seed0009.png", images[0])
    assert close("people/seed12345.png", images[1])


def test_a_folder_of_several_architectures(run, generator: Generator) -> None:
    Path("found.json").write_text(json.dumps({"18G": {"channels": SPACE.uniform(0.5).channels, "res": 16}}))
    run("seeds=2", "architectures=[full,0.25@8,found.json]", "output=people", "dtype=float32")
    files = sorted(str(file.relative_to("people")) for file in Path("people").rglob("*.png"))
    assert files == ["0.25@8/seed0002.png", "18G/seed0002.png", "full/seed0002.png"]
    assert close("people/18G/seed0002.png", expected(generator, [2], "found.json:18G")[0])
    assert not any(set(str(file)) & set("=, []:") for file in Path("people").rglob("*"))


def test_one_picture_is_the_picture(run, generator: Generator) -> None:
    run("seeds=5", "output=one.png", "dtype=float32", "architecture=0.5@16")
    assert close("one.png", expected(generator, [5], "0.5@16")[0])


def test_grids(run) -> None:
    run("seeds=0-4", "output=square.png")
    assert Image.open("square.png").size == (3 * 130 - 2, 2 * 154 - 2)
    run("seeds=0-4", "architectures=full,0.5,0.25@16", "output=columns.png")
    picture = Image.open("columns.png")
    assert picture.height == 24 + 5 * 130 - 2
    assert json.loads(picture.text["columns"]) == ["full", "0.5", "0.25@16"]


def test_a_mixing_matrix(run, generator: Generator) -> None:
    run("rows=0-1", "columns=5-7", "mixing_layers=0-3", "output=m.png", "save_latents=w.npy", "dtype=float32")
    assert Image.open("m.png").height == 24 + 3 * 130 - 2
    assert np.load("w.npy").shape == (6, 8, 16)
    run("rows=0-1", "columns=5-7", "mixing_layers=0-3", "output=m.npy")
    run("latents=w.npy", "output=w_images.npy")
    np.testing.assert_allclose(np.load("m.npy"), np.load("w_images.npy"), rtol=1e-4, atol=1e-5)
    run("rows=0-1", "columns=5-7", "mixing_layers=0-3", "output=m/", "dtype=float32")
    assert len(list(Path("m").iterdir())) == 6
    assert close("m/seed0001_seed0006.png", torch.from_numpy(np.load("m.npy"))[4])
    tile = pixels("m.png")[24 + 2 * 130 :, -2 * 130 + 2 : -130]
    assert abs(tile[2:130:4, :128:4] - pixels("m/seed0001_seed0006.png")).max() <= 1


# ---- videos


def read_video(path: str) -> tuple[dict, np.ndarray]:
    reader = pytest.importorskip("imageio_ffmpeg").read_frames(path)
    about = next(reader)
    width, height = about["size"]
    return about, np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]).astype(int)


@pytest.mark.parametrize("where", ["w", "z"])
def test_a_video_passes_through_its_keyframes(run, generator: Generator, where: str) -> None:
    out = run("seeds=0-2", "output=v.mp4", "frames=5", "fps=10", "crf=1", f"interpolate={where}", "save_latents=w.npy")
    assert "15 frames in" in out
    about, frames = read_video("v.mp4")
    assert frames.shape == (15, 256, 256, 3)
    assert about["fps"] == 10
    keys = to_uint8(expected(generator, [0, 1, 2])).permute(0, 2, 3, 1).numpy()
    middles = (frames[::5, 3::8, 3::8] + frames[::5, 4::8, 4::8]) / 2
    assert abs(middles - keys).mean() < 8
    assert np.load("w.npy").shape == (15, 8, 16)


def test_a_video_of_many(run) -> None:
    run("seeds=0-7", "grid=2x2", "frames=2", "output=grid.mp4", "noise=random")
    assert read_video("grid.mp4")[1].shape == (4, 512, 512, 3)
    run("seeds=0-1", "architectures=full,0.5@16,0.25@8", "frames=2", "output=side.mp4")
    assert read_video("side.mp4")[1].shape == (4, 280, 768, 3)


def test_a_video_of_latents(run) -> None:
    np.save("w.npy", np.random.default_rng(0).normal(size=(2, 8, 16)))
    run("latents=w.npy", "frames=3", "output=v.mp4")
    assert len(read_video("v.mp4")[1]) == 6


# ---- errors


@pytest.mark.parametrize(("arguments", "message"), [
    (["output=x.png"], "seeds=... is needed, for example seeds=0-15"),
    (["seeds=", "output=x.png"], "seeds=... is needed"),
    (["seeds=-1", "output=x.png"], "seeds=-1 is not understood; seeds are whole numbers from 0 up"),
    (["seeds=0-99999999999", "output=x.npy"], "names 100000000000 seeds; 1000000 at once are the limit"),
    (["seeds=0-1024", "output=x.png"], "1025 pictures are too many for one grid (at most 1024); use output=FOLDER/"),
    (["seeds=0", "latents=x.npy", "output=x.png"], "seeds= and latents= are given"),
    (["seeds=0", "rows=0", "columns=1", "output=x.png"], "seeds= and rows= and columns= are given"),
    (["latents=x.npy", "output=x.png"], "latents=x.npy is no file"),
    (["rows=0", "output=x.png"], "rows= and columns= belong together"),
    (["seeds=0", "mixing_layers=0", "output=x.png"], "mixing_layers= needs rows=SEEDS and columns=SEEDS"),
    (["rows=0", "columns=1", "mixing_layers=0-8", "output=x.png"], "there is no layer 8; they are 0 to 7"),
    (["rows=0", "columns=1", "mixing_layers=6", "architecture=0.5@16", "output=x.png"],
     "at 16 px only the layers 0 to 5 are run"),
    (["rows=0,0", "columns=1", "output=x.png"], "rows=0,0: at most 1024 seeds, each once"),
    (["rows=0-40", "columns=50-90", "output=x.png"], "1764 pictures are too many for one grid"),
    (["rows=0", "columns=1", "output=x.mp4"], "style mixing makes pictures; use FILE.png"),
    (["seeds=0", "output=x.jpg"], "output=x.jpg: .jpg is not written; use FILE.png, FILE.npy, FILE.mp4, or a folder"),
    (["seeds=0"], "output=... is needed"),
    (["seeds=0", "output="], "output= names nothing; use FILE.png, FILE.npy, FILE.mp4, or a folder"),
    (["seeds=0", "output=new/folder/x.png", "architecture=0.3"], "ratio 0.3 is not one of"),
    (["seeds=0", "output=new/people/", "architecture=0.3"], "ratio 0.3 is not one of"),
    (["seeds=0", "output=x.npy", "save_latents=../{here}/x.npy"], "is output= as well"),
    (["seeds=0", "output=file"], "output=file is a file, not a folder"),
    (["seeds=0", "output=file/x.png"], "cannot write file/x.png: a part of the path is a file"),
    (["seeds=0", "output=file/x/"], "a part of the path is a file"),
    (["seeds=0", "output=x.png", "architecture=0.3"], "architecture=0.3: ratio 0.3 is not one of"),
    (["seeds=0", "output=x.png", "architecture=full", "architectures=full"], "architecture= and architectures= are"),
    (["seeds=0", "output=x.npy", "architectures=full,0.5"], "output=x.npy takes one; name one"),
    (["seeds=0", "output=x.npy", "truncation=nan"], "truncation=nan is not a finite number"),
    (["seeds=0", "truncation_cutoff=2", "output=x.png"], "truncation_cutoff=2 does nothing with truncation=1"),
    (["seeds=0-3,2", "output=x/"], "seeds=0-3,2 names 2 twice, and a folder has one file for each"),
    (["latents=z.npy", "seeds_of=nvidia", "output=x.png"], "seeds_of=nvidia is for seeds, and latents=z.npy are none"),
    (["seeds=4294967296", "seeds_of=nvidia", "output=x.png"], "4294967296 is above 4294967295, the largest of NumPy's"),
    (["rows=w.npy", "columns=0", "output=x.png"], "rows=w.npy is no file; give FILE.npy"),
    (["rows=0", "columns=w.npy", "output=w.npy"], "columns=w.npy is output= as well"),
    (["rows=0,w.npy", "columns=0", "output=x.png"], "rows=w.npy is not understood; seeds are whole numbers"),
    (["seeds=0", "output=x.npy", "truncation=0.5", "truncation_cutoff=9"], "truncation_cutoff=9 is not within 0 .. 8"),
    (["seeds=0", "output=x.npy", "noise=some"], "noise=some is not one of const, random, none"),
    (["seeds=0", "output=x.png", "fps=10"], "fps= is for videos, and output=x.png is none; use output=FILE.mp4"),
    (["seeds=0", "output=x.mp4"], "a loop needs at least 2 keyframes, and this one has 1"),
    (["seeds=0-8", "grid=2x2", "output=x.mp4"], "seeds=0-8 are 9 keyframes, which the 4 loops of grid=2x2 cannot"),
    (["seeds=0-3", "grid=2", "output=x.mp4"], "grid=2 is not understood; use 2x2"),
    (["seeds=0-3", "grid=2x1", "architectures=full,0.5", "output=x.mp4"], "grid=2x1 and several architectures"),
    (["seeds=0-1000", "output=x.mp4"], "are 1001 keyframes; a video takes at most 1000"),
    (["seeds=0-3", "crf=52", "output=x.mp4"], "crf goes from 0 to 51"),
    (["seeds=0-3", "fps=nan", "output=x.mp4"], "fps up to 1000"),
    (["seeds=0", "seeds=1", "output=x.npy"], "seeds=0 and seeds=1 are given; use one of them"),
    (["seeds=0", "output=x.npy", "save_latents=x.npy"], "save_latents=x.npy is output= as well"),
    (["latents=w.npy", "output=./w.npy"], "latents=w.npy is output= as well; use another name for one of them"),
    (["latents=w.npy", "output=x.png", "save_latents=w.npy"], "save_latents=w.npy is latents= as well; use another"),
    (["seeds=0", "output=x.npy", "save_latents=w.txt"], "save_latents=w.txt: the codes are a NumPy array; use"),
    (["seeds=0", "output=x.npy", "save_latents=file/w.npy"], "cannot write file/w.npy: a part of the path is a file"),
    (["seeds=0", "output=x.png", "weights=nowhere/at/all"], "weights=nowhere/at/all does not exist"),
])  # fmt: skip
def test_errors_name_the_option_and_the_remedy(refused, arguments: list[str], message: str) -> None:
    Path("file").write_text("")
    assert message in refused(*(argument.replace("{here}", Path.cwd().name) for argument in arguments))


def test_latents_of_another_generator(refused) -> None:
    np.save("w.npy", np.zeros((3, 18, 512)))
    assert "latents=w.npy has the shape (3, 18, 512); this generator takes (N, 16), (N, 8, 16)" in refused(
        "latents=w.npy", "output=x.png"
    )
    np.save("w.npy", np.zeros((3, 16)))
    assert "interpolate=z needs latents in z" in refused("latents=w.npy", "interpolate=z", "output=x.mp4")


def test_without_ffmpeg(refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert 'pip install -e ".[video]"' in refused("seeds=0-3", "output=x.mp4")


def test_kinds_of_output(tmp_path: Path) -> None:
    (tmp_path / "v1.2").mkdir()
    kinds = {"a.png": ".png", "a.PNG": ".png", "a.npy": ".npy", "a.mp4": ".mp4", "a": "folder", "a/": "folder",
             "v1.3/": "folder", str(tmp_path / "v1.2"): "folder"}  # fmt: skip
    assert {name: output_kind(name) for name in kinds} == kinds
    with pytest.raises(UserError, match=r"\.3 is not written"):
        output_kind("v1.3")


@pytest.mark.parametrize(
    ("name", "number"), [("x.npy", signal.SIGKILL), ("x.npy", signal.SIGINT), ("x.mp4", signal.SIGINT)]
)
def test_killed_in_the_middle_the_old_output_stays(weights: Path, tmp_path: Path, number: int, name: str) -> None:
    """Also by Ctrl-C, which leaves no file to the side either."""
    output = tmp_path / name
    output.write_text("old")
    arguments = [f"weights={weights}", "seeds=0-999", f"output={output}", "batch_size=1", "threads=1"]
    process = subprocess.Popen([sys.executable, "-m", "anycost", "generate", *arguments], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 200
    while not any(file.stat().st_size for file in tmp_path.glob(".x.*.part")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, number)
    process.communicate(timeout=200)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert output.read_text() == "old"
    if number == signal.SIGINT:
        assert [file.name for file in tmp_path.iterdir()] == [name]
