"""An imported pair of networks is a start for training: generator, discriminator and fixed noise are taken over."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from anycost.commands import main
from anycost.interchange.weights import read_weights

TINY = [
    "stage=multires", "data=faces", "data.resolution=32", "data.workers=0", "data.batch_size=8", "stage.kimg=0.016",
    "stage.consistency.perceptual=none", "stage.r1.every=1", "trainer=cpu", "trainer.threads=1", "trainer.precision=32",
    "features=embedded", "metrics=none", "callbacks=none", "callbacks.log_every_kimg=0.008", "run=imported",
    "init_from=g.safetensors",
]  # fmt: skip
MODEL = ["model.multiplier=0.015625", "model.channel_cap=16", "model.latent_dim=16", "model.mapping_layers=2"]


@pytest.fixture(autouse=True)
def _same_process_afterwards() -> Iterator[None]:
    environment, root = dict(os.environ), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    os.environ.clear()
    os.environ.update(environment)
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def source(originals: ModuleType, foreign_files: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An NVIDIA pickle of 32 px, in the folder where the commands run."""
    monkeypatch.chdir(tmp_path)
    shape = originals.Shape((16, 16, 16, 8))
    states = {"G": originals.nvidia.generator(shape), "D": originals.nvidia.discriminator(shape),
              "G_ema": originals.nvidia.generator(shape)}  # fmt: skip
    buffers = ("w_avg", "noise_const", "resample_filter")
    networks = {
        key: foreign_files.module({name: x.float() for name, x in state.items()}, {}, buffers)
        for key, state in states.items()
    }
    return foreign_files.write_pickle(tmp_path / "network.pkl", networks)


def networks(file: str) -> dict[str, Tensor]:
    return {name: x for name, x in read_weights(file)[0].items() if name != "truncation_mean"}


def test_two_steps_from_an_nvidia_pickle(source: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["convert", f"source={source}", "output=g.safetensors"]) == 0
    assert main(["train", *TINY, *MODEL]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    before, after = networks("g.safetensors"), networks("logs/train/runs/imported/weights.safetensors")
    for part in ("generator", "discriminator"):
        count = sum(name.startswith(f"{part}.") for name in before)
        assert f"{part}: {count} tensors carried over" in printed.out
    fresh = {f"discriminator.from_rgb.{side}.{kind}" for side in (8, 16) for kind in ("weight", "bias")}
    assert after.keys() - before.keys() == fresh, "a single-resolution discriminator has one input"
    moved = {name for name, x in before.items() if not torch.equal(x, after[name])}
    kept = {name for name in before if name.endswith(".noise")}
    assert not moved & kept
    # The averaged generator has hardly moved; that the discriminator has, shows that it was trained.
    assert {name for name in before if name.startswith("discriminator.")} <= moved
    assert all((after[name] - x).abs().max() < 0.05 for name, x in before.items() if "mapping" not in name)


@pytest.mark.parametrize(("options", "message"), [
    (MODEL[:2], "train it with model.latent_dim=16 model.mapping_layers=2"),
    (MODEL[2:], "train it with model.multiplier=0.015625 model.channel_cap=16"),
    ([*MODEL, "data.resolution=64"], "train it with data.resolution=32"),
])
def test_the_model_that_is_needed_is_named(source: Path, capsys: pytest.CaptureFixture, options: list[str],
                                           message: str) -> None:
    assert main(["convert", f"source={source}", "output=g.safetensors"]) == 0
    assert main(["train", *TINY, *options]) == 2
    assert message in capsys.readouterr().err


def test_the_generator_alone_gets_a_fresh_discriminator(source: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["convert", f"source={source}", "output=g.safetensors", "part=generator"]) == 0
    assert main(["train", *TINY, *MODEL]) == 0
    assert "discriminator: none in the file, stays fresh" in capsys.readouterr().out


def test_the_table_of_what_was_converted(source: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["convert", f"source={source}", "output=g.safetensors", "weights=raw", "licence=for research"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if not line.startswith(" "))
    assert lines["source:"].startswith("NVIDIA StyleGAN2 pickle, sha256 ")
    assert lines["found:"] == "generator (raw weights, not averaged), 32 px, 2 mapping layers"
    assert lines["space:"] == "32 px, multiplier 0.015625, channel cap 16, trained at 32 px"
    assert lines["licence:"] == "for research"
    assert lines["next:"] == "anycost info weights=g.safetensors"
    header = read_weights("g.safetensors")[1]
    assert (header.licence, header.kind, header.card["weights"]) == ("for research", "training", "raw")
    assert header.card["ladder"] == {"4": [16, 16], "8": [16, 16], "16": [16, 16], "32": [8, 8]}
