"""`python train.py` as a user types it: the whole pipeline at a tiny scale."""

import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = Path(__file__).resolve().parents[2] / "train.py"
STAGES = ["stylegan2", "multires", "ada_ch"]
SMALL = [
    "data.resolution=16", "model.channel_cap=8", "model.latent_dim=32", "model.mapping_layers=2", "trainer.threads=1",
    "callbacks.grid.rows=2",
]
TINY = [
    *SMALL, "schedule.stylegan2=0.04", "schedule.multires=0.024", "schedule.ada_ch=0.024", "data.batch_size=8",
    "metrics.samples=16", "metrics.architectures=[full,0.5]", "callbacks.log_every_kimg=0.016",
]


def train(folder: Path, *arguments: str) -> str:
    """The output of a command that must end well and without a word on stderr."""
    done = subprocess.run(
        [sys.executable, str(TRAIN), *arguments], cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
def test_bare_command_trains_the_pipeline(tmp_path: Path) -> None:
    output = train(tmp_path, *TINY)
    assert output.count("initialised from") == 2
    assert "frechet16_embedded" in output
    (run,) = (tmp_path / "logs" / "train" / "runs").iterdir()
    assert run.name.startswith("pipeline-faces-r")
    assert {path.name for path in run.iterdir()} == {*STAGES, "config.yaml", "train.log", ".lock", "attempts.jsonl"}
    for stage in STAGES:
        inside = {path.name for path in (run / stage).iterdir()}
        assert inside >= {"checkpoints", "config.yaml", "grids", "metrics.csv", "metrics.jsonl", "run.json",
                          "weights.safetensors"}
    assert not [path for path in run.rglob("*") if set(path.name) & set("=, []")]
    assert not list(run.rglob("*.part"))
    again = train(tmp_path, *TINY)
    assert again.count("is finished: ") == 3
    assert "frechet16_embedded" in again


@pytest.mark.slow
def test_fast_dev_run(tmp_path: Path) -> None:
    """Two steps of each stage with everything around them, and our own lines alone."""
    output = train(tmp_path, "debug=fdr", *SMALL)
    own = ("schedule=", "stylegan2: ", "multires: ", "ada_ch: ", "initialised from", "grid: ", "weights: ")
    assert [line for line in output.splitlines() if not line.startswith(own)] == []
