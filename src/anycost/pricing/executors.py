"""What runs an architecture when its latency is measured, by name; and under what conditions it runs."""

import contextlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from anycost.architecture import Architecture
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.pricing.latency import layer_times_ms, told_times_ms
from anycost.runtime.renderer import Renderer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Conditions:
    """What a latency depends on besides the architecture; it is named wherever a latency is.

    Args:
        executor: a key of `EXECUTORS`.
        device: the processor's or the GPU's name.
        threads: PyTorch's, of one operation.
        dtype: of the convolutions: float32 or bfloat16.
        batch_size: pictures of one call; milliseconds are those of the whole call.
        torch: PyTorch's version.
    """

    executor: str
    device: str
    threads: int
    dtype: str
    batch_size: int = 1
    torch: str = torch.__version__

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}"
        return f"{self.device}, {threads}, {self.dtype}, batch {self.batch_size}, torch {self.torch}"


@dataclass(frozen=True)
class Execution:
    """One architecture, ready to run.

    Args:
        run: one call.
        parts_ms: one call too; milliseconds of what precedes its first layer, and of each layer in the order of
            `macs.executed_layers`.
    """

    run: Callable[[], object]
    parts_ms: Callable[[], list[float]]


Executor = Callable[[Architecture], Execution]


def _plain(generator: Generator, wanted: Conditions, latents: Tensor) -> Executor:
    """The shared generator, called with the architecture: what training and `sampling` do."""
    device = generator.constant.device

    def execution(architecture: Architecture) -> Execution:
        modules: list[nn.Module] = []
        for level in range(architecture.resolution.bit_length() - 2):
            modules += [*generator.layers[max(2 * level - 1, 0) : 2 * level + 1], generator.to_rgb[level]]

        def run() -> Tensor:
            return generator(latents, architecture)

        return Execution(run, lambda: layer_times_ms(run, modules, device))

    return execution


def _frozen(generator: Generator, wanted: Conditions, latents: Tensor) -> Executor:
    """Mapping, then a sub-generator that was frozen for the architecture: what `runtime` does."""
    renderer = Renderer(generator, wanted.dtype)

    def execution(architecture: Architecture) -> Execution:
        frozen, layers = renderer.frozen(architecture), 3 * (architecture.resolution.bit_length() - 2) - 1

        def run(begin: Callable[[int], None] = lambda place: None) -> Tensor:
            return frozen.run(renderer.mapping(latents), begin=begin)

        return Execution(run, lambda: told_times_ms(run, layers, renderer.device))

    return execution


EXECUTORS: dict[str, Callable[[Generator, Conditions, Tensor], Executor]] = {"plain": _plain, "frozen": _frozen}


def conditions(
    generator: Generator,
    executor: str = "plain",
    threads: int | None = None,
    dtype: str = "float32",
    batch_size: int = 1,
) -> Conditions:
    """The conditions on the generator's device; `threads` None means PyTorch's present number."""
    if executor not in EXECUTORS:
        raise UserError(f"executor={executor} does not exist; there is {', '.join(EXECUTORS)}")
    if dtype not in DTYPES:
        raise UserError(f"dtype={dtype} is not one of {', '.join(DTYPES)}")
    device = processor_name(generator.constant.device)
    return Conditions(executor, device, threads or torch.get_num_threads(), dtype, batch_size)


def processor_name(device: torch.device | str) -> str:
    """The name of the GPU, or of this machine's processor."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] \
        if info.exists() else []  # fmt: skip
    return names[0] if names else platform.processor() or platform.machine()


@contextlib.contextmanager
def running_under(wanted: Conditions, device: torch.device) -> Iterator[None]:
    """Threads, precision and no gradients as `wanted`; what was set before comes back at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted.threads)
    try:
        dtype = DTYPES[wanted.dtype]
        with torch.no_grad(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            yield
    finally:
        torch.set_num_threads(before)


def executor(generator: Generator, wanted: Conditions) -> Executor:
    """What turns architectures into calls on fixed latents, with the executor of `wanted`."""
    draws = torch.Generator().manual_seed(0)
    latents = torch.randn(wanted.batch_size, generator.latent_dim, generator=draws)
    return EXECUTORS[wanted.executor](generator, wanted, latents.to(generator.constant))
