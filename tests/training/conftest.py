"""Tiny runs of the real code: a dozen pictures of 16 px, networks of 8 channels, 8 images a step, one thread."""

import logging
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anycost import checkpoints
from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.configuration.composition import compose
from anycost.interchange.weights import generator_header, generator_tensors, write_weights
from anycost.loggers.table import read_rows
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator
from anycost.runs import RunDir
from anycost.stages.clock import Clock
from anycost.training import run

SMALL = [
    "data=folder", "data.resolution=16", "data.batch_size=8", "data.workers=0", "model.channel_cap=8",
    "model.latent_dim=16", "model.mapping_layers=2", "trainer=cpu", "trainer.threads=1", "trainer.precision=32",
    "schedule=paper", "features=embedded", "metrics=none", "callbacks=none", "callbacks.log_every_kimg=0.016",
    "callbacks.checkpoint.every_kimg=1",
]
STAGES = {
    "pipeline": ["stage=pipeline"],
    "stylegan2": ["stage=stylegan2", "stage.path_length.every=2"],
    "multires": ["stage=multires", "init_from=none", "stage.consistency.perceptual=none"],
    "ada_ch": ["stage=ada_ch", "init_from=none", "stage.consistency.perceptual=none", "stage.sampled_resolutions=2"],
    "flexible": ["stage=ada_ch", "stage.mode=flexible", "init_from=none", "stage.consistency.perceptual=none",
                 "stage.consistency.target=teacher"],
    "reduced": ["stage=ada_ch", "stage.discriminator=reduced", "init_from=none",
                "stage.consistency.perceptual=none", "stage.sampled_resolutions=2"],
    "msg_gan": ["stage=msg_gan"],
    "distill": ["stage=distill", "stage.teacher={wide}", "stage.perceptual=none"],
    "prune": ["stage=prune", "init_from={wide}"],
}
HALF = ["model.multiplier=0.00390625", "model.discriminator_multiplier=0.0078125"]  # 4 channels at 16 px, not 8


@pytest.fixture(autouse=True)
def same_process_afterwards() -> Iterator[None]:
    """Threads, environment and loggers, which a run sets for its process, are put back."""
    threads, environment, root = torch.get_num_threads(), dict(os.environ), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    torch.set_num_threads(threads)
    os.environ.clear()
    os.environ.update(environment)
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:], root.level = handlers, level


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 pictures of 16 px."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights file of a generator and a discriminator with twice the channels of `HALF` at 16 px, untrained."""
    space, file = ArchitectureSpace(16, 2**-7, 8, num_resolutions=1), tmp_path_factory.mktemp("wide") / "w.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(1)
        generator, discriminator = Generator(space, 16, 2), Discriminator(space, 1)
    networks = {f"discriminator.{name}": x for name, x in discriminator.state_dict().items()}
    write_weights(file, generator_tensors(generator) | networks, generator_header(generator, "training"))
    return file


@pytest.fixture(scope="session")
def arguments(pictures: Path, wide: Path) -> Callable[..., list[str]]:
    """The command line of a tiny run of `stage`, with all regularisers every second step."""

    def build(stage: str, *overrides: str) -> list[str]:
        every = [] if stage == "pipeline" else ["stage.r1.every=2"]
        half = HALF if stage in ("distill", "prune") else []
        own = [text.format(wide=wide) for text in STAGES[stage]]
        return [*SMALL, f"data.path={pictures}", *own, *half, *every, *overrides]

    return build


@pytest.fixture
def train(arguments: Callable[..., list[str]], tmp_path: Path) -> Callable[..., RunDir]:
    """`train(name, stage, images, *overrides)`: train in this process in the folder `name` until `images` are seen."""

    def start(name: str, stage: str, images: int, *overrides: str) -> RunDir:
        config = deepcopy(_composed(*arguments(stage, *overrides)))
        config.stage.kimg = images / 1000
        run(config, tmp_path / name)
        return RunDir(tmp_path / name)

    return start


_composed = lru_cache(compose)


def length(stage: str) -> list[str]:
    return [] if stage == "pipeline" else ["stage.kimg=0.016"]


@pytest.fixture
def command(
    arguments: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., str]:
    """`command(stage, *overrides)`: run `anycost train` in the folder of the test; what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(stage: str, *overrides: str) -> str:
        assert main(["train", *arguments(stage, *length(stage), *overrides)]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return call


@pytest.fixture
def refused(
    command: Callable[..., str], arguments: Callable[..., list[str]], capsys: pytest.CaptureFixture
) -> Callable[..., str]:
    """`refused(stage, *overrides)`: the single message of a command that must end with status 2."""

    def call(stage: str, *overrides: str) -> str:
        assert main(["train", *arguments(stage, *length(stage), *overrides)]) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert "Traceback" not in message
        return message

    return call


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """`slurm((before, after), refuses="", **variables)`: this process is job 7, which runs, up to what is replaced.

    The answer is the file that `scontrol` writes its calls to.
    """

    def fake(change: tuple[str, str] = ("", ""), refuses: str = "", **variables: str) -> Path:
        calls, program = tmp_path / "calls", tmp_path / "bin" / "scontrol"
        facts = "JobId=7 JobState=RUNNING Reason=None Requeue=1 Restarts=0 BatchFlag=1".replace(*change)
        program.parent.mkdir(exist_ok=True)
        calls.touch()
        refusal = f'echo "{refuses}" >&2; exit 1' if refuses else "exit 0"
        program.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n[ "$1" = -o ] && echo "{facts}" && exit 0\n{refusal}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        for name, value in {"SLURM_JOB_ID": "7", **variables}.items():
            monkeypatch.setenv(name, value)
        return calls

    return fake


@pytest.fixture(scope="session")
def state_of() -> Callable[[RunDir], dict[str, Any]]:
    """All that the newest checkpoint holds of the training, flat: names -> tensors and numbers."""

    def read(run: RunDir) -> dict[str, Any]:
        content = checkpoints.read(run.checkpoints / "last.ckpt")
        kept = {part: content[part] for part in ("images", "stage", "optimizers", "callbacks")}
        return dict(_leaves(kept, ""))

    return read


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}/{key}")
    elif isinstance(value, list):
        for key, inner in enumerate(value):
            yield from _leaves(inner, f"{name}/{key}")
    else:
        yield name, value


@pytest.fixture(scope="session")
def same_state(state_of: Callable[[RunDir], dict[str, Any]]) -> Callable[[RunDir, RunDir], None]:
    """Assert that two runs ended in the same state, to the bit, and logged the same values."""

    def check(one: RunDir, other: RunDir) -> None:
        first, second = state_of(one), state_of(other)
        assert first.keys() == second.keys()
        different = [name for name, value in first.items() if not _same(value, second[name])]
        assert not different
        assert (one.path / "metrics.csv").read_text() == (other.path / "metrics.csv").read_text()

    return check


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, torch.Tensor):
        return one == other
    layout = (one.dtype, one.shape, one.stride())
    return layout == (other.dtype, other.shape, other.stride()) and one.numpy().tobytes() == other.numpy().tobytes()


@pytest.fixture(scope="session")
def same_but_rounding(state_of: Callable[[RunDir], dict[str, Any]]) -> Callable[[RunDir, RunDir], None]:
    """Assert that two runs in float64 ended in the same state and logged the same values, to 1e-10."""

    def check(one: RunDir, other: RunDir) -> None:
        first, second = (
            {name: value for name, value in state_of(one).items() if isinstance(value, torch.Tensor)}
            for one in (one, other)
        )
        torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-10)
        rows, others = read_rows(one.path / "metrics.csv"), read_rows(other.path / "metrics.csv")
        assert rows
        assert others == [pytest.approx(row, rel=1e-10, abs=1e-10) for row in rows]

    return check


@pytest.fixture
def at_image(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """`at_image(n, act)`: act in the step that ends with n images."""

    def plan(images: int, act: Callable[[], object]) -> None:
        advance = Clock.advance

        def advance_and_act(clock: Clock) -> None:
            advance(clock)
            if clock.images == images:
                act()

        monkeypatch.setattr(Clock, "advance", advance_and_act)

    return plan
