"""compile=True renders the same, and says what it lacks."""

import shutil

import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.runtime import Cancelled, Renderer, compilation, freeze, frozen
from anycost.runtime.scratch import ScratchPool
from anycost.runtime.shared import SharedWeights

SPACE = ArchitectureSpace(32, 0.125, 64, 3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_renders_the_same(generator: Generator) -> None:
    architecture = SPACE.uniform(0.5, 8)
    plain, compiled = (freeze(generator, architecture, "float32", compile=value) for value in (False, True))
    w = torch.randn(2, 16)
    torch.testing.assert_close(compiled(w), plain(w), rtol=1e-4, atol=1e-4)


def test_every_level_is_one_graph(generator: Generator) -> None:
    """What Dynamo cannot trace would cut a level into several graphs, and into several CUDA graphs."""
    weights = SharedWeights(generator, torch.float32, torch.device("cpu"), SPACE.full(), compile=True)
    low, high = (weights.batched_level(level, SPACE.full().channels) for level in (0, 1))
    codes, noises = torch.randn(2, 3, 16), [weights.noise(point) for point in range(3)]
    with torch.no_grad():
        x, image = low(weights.constant(SPACE.full().channels[0]), None, codes[:, :2], noises[:1])
        whole = torch.compile(high, fullgraph=True, backend="eager", dynamic=False)
        for traced, plain in zip(whole(x, image, codes, noises[1:]), high(x, image, codes, noises[1:]), strict=True):
            torch.testing.assert_close(traced, plain)


def test_without_a_compiler(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="needs a C\\+\\+ compiler, and there is no no-such-compiler"):
        freeze(generator, compile=True, device="cpu")
    with pytest.raises(UserError, match="compile=false"):
        Renderer(generator, compile=True, device="cpu")


def test_levels_of_a_picture_are_one_step_of_cuda_graphs(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a level's inputs lie in memory that it uses again: no GPU is needed to see what is told."""
    told: list[str] = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: told.append("step"))
    monkeypatch.setattr(frozen, "one_step", lambda device: compilation.one_step(torch.device("cuda")))
    monkeypatch.setattr(frozen, "compile_levels", lambda levels, device: None)
    weights = SharedWeights(generator, torch.float32, torch.device("cpu"), SPACE.full(), compile=True)
    made = frozen.FrozenGenerator(weights, SPACE.full(), ScratchPool())
    w = torch.randn(2, 16)
    for level in made.batched:
        level.register_forward_pre_hook(lambda *_: told.append("level"))
    torch.testing.assert_close(made(w), freeze(generator, dtype="float32")(w), rtol=1e-4, atol=1e-4)
    with pytest.raises(Cancelled):
        made(w, cancelled=lambda: True)
    made(w)
    assert told == ["step", *["level"] * 4, "step", "step", *["level"] * 4]
