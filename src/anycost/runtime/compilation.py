"""`compile=True`: torch.compile for the levels of a frozen sub-generator, with CUDA graphs on a GPU."""

import contextlib
import importlib.util
import os
import shutil
import threading
from collections.abc import Iterable, Iterator

import torch
from torch import nn

from anycost.errors import UserError

_GRAPHS = 1024  # one for each level and shape: far more than Dynamo's default of 8 for one function
_step = threading.Lock()


def require_compiler(device: torch.device) -> None:
    """Raise `UserError` where torch.compile could not generate code for `device`."""
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            raise UserError("compile=true needs Triton on a GPU (pip install triton); or use compile=false")
        return
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise UserError(f"compile=true needs a C++ compiler, and there is no {compiler} (or set CXX); or compile=false")


def compile_levels(levels: Iterable[nn.Module], device: torch.device) -> None:
    """Compile every level in place, at its first call for each shape."""
    torch._dynamo.config.recompile_limit = _GRAPHS
    torch._dynamo.config.accumulated_recompile_limit = _GRAPHS
    for level in levels:
        level.compile(dynamic=False, mode="reduce-overhead" if device.type == "cuda" else None)


@contextlib.contextmanager
def one_step(device: torch.device) -> Iterator[None]:
    """What the levels of one picture run in, after `compile_levels`.

    Every call of a compiled level would begin a step of its own for CUDA graphs, and a step uses the memory of the one
    before again, in which the next level's inputs lie. Threads share the count of steps: one picture runs at a time.
    """
    if device.type != "cuda":
        yield
        return
    with _step:
        torch.compiler.cudagraph_mark_step_begin()
        yield
