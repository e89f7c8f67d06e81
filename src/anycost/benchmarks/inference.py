"""Frozen sub-generators against the plain definition of the same picture, and against what the machine could do.

Everything is timed from w to the image, round by round in turn, so that other work on the machine falls on all alike.
"""

import contextlib
import ctypes
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from anycost.architecture import Architecture
from anycost.benchmarks.plain_generator import PlainGenerator
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.pricing.latency import latency_ms
from anycost.pricing.price_list import PriceList
from anycost.runtime import FrozenGenerator, freeze
from anycost.runtime.dtypes import NAMES, has_fast_bf16

TF32 = "tf32"
_PEAK_CHANNELS, _PEAK_SIDE = 256, 64
_DEVIATION = 0.5  # of pictures of trained weights, about
Result = TypeVar("Result")


@dataclass(frozen=True)
class Row:
    """One architecture in one dtype.

    Args:
        macs: true multiply-adds of one picture, without the mapping.
        plain_ms: median of one call of the plain definition, float32, contiguous NCHW.
        ms: median of one call of the frozen sub-generator.
        relative_error: largest difference from the plain picture, as a share of its largest value.
        psnr_db: against the plain picture, both clamped to [-1, 1].
        share_of_peak: of the best convolution's operations per second in the same dtype.
        weight_bytes, plain_weight_bytes: what the weights take.
        call_bytes, plain_call_bytes: what a first call takes besides; None where the system does not say.
    """

    architecture: str
    resolution: int
    dtype: str
    macs: int
    plain_ms: float
    ms: float
    relative_error: float
    psnr_db: float
    share_of_peak: float
    weight_bytes: int
    plain_weight_bytes: int
    call_bytes: int | None
    plain_call_bytes: int | None

    @property
    def ratio(self) -> float:
        return self.plain_ms / self.ms


@dataclass(frozen=True)
class InferenceResult:
    """The rows, and the best convolution's operations per second of each dtype in the same rounds."""

    rows: list[Row]
    peaks: dict[str, float]
    rounds: int


def check_dtypes(names: Sequence[str], device: torch.device) -> list[str]:
    """`names`, or by default all that are fast on `device`; `UserError` for others."""
    fast = ["bfloat16"] if has_fast_bf16(device.type == "cuda") else []
    known = ["float32", *fast, "float16", TF32] if device.type == "cuda" else ["float32", "bfloat16"]
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"dtypes={','.join(names)}: {unknown[0]} is not one of {', '.join(known)} on this device")
    if names:
        return list(names)
    return ["float32", TF32, *fast, "float16"] if device.type == "cuda" else ["float32", *fast]


@torch.no_grad()
def measure(
    generator: Generator,
    architectures: Mapping[str, Architecture],
    dtypes: Sequence[str],
    batch_size: int = 1,
    rounds: int = 7,
    compile: bool = False,
    trained: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> InferenceResult:
    """Time all architectures in all dtypes on the generator's device, in `rounds` rounds after one to warm up.

    Pictures of weights that are not `trained` have any deviation: for the PSNR they are brought to 0.5.
    """
    device = generator.constant.device
    space = generator.space
    plain = PlainGenerator(space.resolution, space.multiplier, space.channel_cap, generator.latent_dim,
                           len(generator.mapping.layers), space.full_channels)  # fmt: skip
    plain.load_from(generator)
    plain.to(device).eval().requires_grad_(False)
    z = torch.randn(batch_size, generator.latent_dim, generator=torch.Generator().manual_seed(0))
    w_plus = generator.styles(z.to(device))
    cases = []
    for name, architecture in architectures.items():
        report(f"{name}: freezing, and first calls")
        cases += [_Case(generator, plain, w_plus, name, architecture, dtype, compile) for dtype in dtypes]
    convolutions = {dtype: _convolution(dtype, device, batch_size) for dtype in dtypes}
    peak_ms: dict[str, list[float]] = {dtype: [] for dtype in dtypes}
    plain_ms: dict[str, list[float]] = {name: [] for name in architectures}
    for turn in range(rounds):
        report(f"round {turn + 1} of {rounds}")
        for dtype, (convolve, _) in convolutions.items():
            with _precision(dtype):
                peak_ms[dtype] += [latency_ms(convolve, device) for _ in range(5)]
        for case in cases:
            if case.dtype == dtypes[0]:
                with _precision("float32"):
                    plain_ms[case.name].append(latency_ms(case.plain, device))
            with _precision(case.dtype):
                case.times.append(latency_ms(case.call, device))
    peaks = {dtype: operations / min(peak_ms[dtype]) * 1000 for dtype, (_, operations) in convolutions.items()}
    prices = PriceList(space, generator.latent_dim, mapping_layers=0)
    rows = [
        case.row(statistics.median(plain_ms[case.name]), peaks[case.dtype], prices, batch_size, trained)
        for case in cases
    ]
    return InferenceResult(rows, peaks, rounds)


class _Case:
    """One architecture in one dtype: both definitions ready, their pictures, their memory, and times to come."""

    def __init__(
        self,
        generator: Generator,
        plain: PlainGenerator,
        w_plus: Tensor,
        name: str,
        architecture: Architecture,
        dtype: str,
        compile: bool,
    ) -> None:
        self.name, self.architecture, self.dtype = name, architecture, dtype
        self.frozen: FrozenGenerator = freeze(generator, architecture, NAMES.get(dtype, torch.float32), compile=compile)
        self.call = partial(self.frozen, w_plus)
        self.plain = lambda: plain(w_plus, architecture.channels, "w", resolution=architecture.resolution)
        self.times: list[float] = []
        device = w_plus.device
        with _precision(dtype):
            self.image, self.call_bytes = _with_memory(self.call, device)
            self.image = self.call().float()
        with _precision("float32"):
            images, self.plain_call_bytes = _with_memory(self.plain, device)
        self.true = images[architecture.resolution]
        self.plain_weight_bytes = sum(one.nbytes for one in (*plain.parameters(), *plain.buffers()))

    def row(self, plain_ms: float, peak: float, prices: PriceList, batch_size: int, trained: bool) -> Row:
        ms, macs = statistics.median(self.times), prices.price(self.architecture).macs
        return Row(
            self.name, self.architecture.resolution, self.dtype, macs, plain_ms, ms,
            relative_error(self.image, self.true), psnr_db(self.image, self.true, None if trained else _DEVIATION),
            2 * macs * batch_size / (ms / 1000) / peak, self.frozen.weight_bytes, self.plain_weight_bytes,
            self.call_bytes, self.plain_call_bytes,
        )  # fmt: skip


def relative_error(image: Tensor, true: Tensor) -> float:
    """Largest difference, as a share of the largest true value."""
    return ((image - true).abs().max() / true.abs().max()).item()


def psnr_db(image: Tensor, true: Tensor, deviation: float | None = None) -> float:
    """Peak signal-to-noise ratio of pictures clamped to [-1, 1]; with `deviation`, both are scaled to it first."""
    scale = 1.0 if deviation is None else (deviation / true.std()).item()
    error = (image * scale).clamp(-1, 1) - (true * scale).clamp(-1, 1)
    return (10 * torch.log10(4 / error.double().square().mean())).item()


def _convolution(dtype: str, device: torch.device, batch_size: int) -> tuple[Callable[[], object], int]:
    """A dense channels-last 3x3 convolution that every library does well, and its operations."""
    shape = (batch_size * (16 if device.type == "cuda" else 1), _PEAK_CHANNELS, _PEAK_SIDE, _PEAK_SIDE)
    number = NAMES.get(dtype, torch.float32)
    x = torch.randn(shape).to(device, number, memory_format=torch.channels_last)
    weight = torch.randn(_PEAK_CHANNELS, _PEAK_CHANNELS, 3, 3).to(device, number, memory_format=torch.channels_last)
    return lambda: F.conv2d(x, weight, padding=1), 2 * 9 * _PEAK_CHANNELS * x.numel()


@contextlib.contextmanager
def _precision(dtype: str) -> Iterator[None]:
    """TensorFloat-32 on a GPU for `tf32` alone: PyTorch would use it for all float32 convolutions."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = dtype == TF32
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


# ---- memory


def _with_memory(call: Callable[[], Result], device: torch.device) -> tuple[Result, int | None]:
    """What `call` returns, and how many bytes it took at most beside what was taken before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = call()
        torch.cuda.synchronize(device)
        return result, torch.cuda.max_memory_allocated(device) - before
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what earlier calls left would otherwise be used again, unseen
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        resident = _status("VmRSS")
    except (OSError, AttributeError):
        return call(), None
    return call(), max(_status("VmHWM") - resident, 0)


def _status(name: str) -> int:
    """Bytes of a line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))
