"""compile=True renders the same, and says what it lacks."""

import shutil

import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.runtime import Renderer, freeze

SPACE = ArchitectureSpace(32, 0.125, 64, 3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_renders_the_same(generator: Generator) -> None:
    architecture = SPACE.uniform(0.5, 8)
    plain, compiled = (freeze(generator, architecture, "float32", compile=value) for value in (False, True))
    w = torch.randn(2, 16)
    torch.testing.assert_close(compiled(w), plain(w), rtol=1e-4, atol=1e-4)


def test_without_a_compiler(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="needs a C\\+\\+ compiler, and there is no no-such-compiler"):
        freeze(generator, compile=True, device="cpu")
    with pytest.raises(UserError, match="compile=false"):
        Renderer(generator, compile=True, device="cpu")
