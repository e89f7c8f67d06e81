"""Speed and memory of adaptive-channel steps, against the plain definition of the same step in the same process."""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from anycost.benchmarks.limits import count_operations, peak_operations_per_sec
from anycost.benchmarks.plain_step import PlainStep
from anycost.callbacks.ema import EmaCallback
from anycost.configuration.schema import DataConfig, ModelConfig, TrainConfig
from anycost.configuration.stage_schema import AdaChConfig, ConsistencyConfig
from anycost.data.batches import Batch
from anycost.stages.ada_ch import AdaChStage

Step = Callable[[Batch], None]


@dataclass(frozen=True)
class Case:
    """One row of the table: 512-d latents, 8 mapping layers, mixing 0.9, two sampled resolutions, R1 every 16."""

    resolution: int
    multiplier: float
    channel_cap: int
    batch_size: int
    num_resolutions: int


CASES = {
    32: Case(32, 0.125, 64, 16, 3),
    64: Case(64, 0.25, 128, 16, 4),
    128: Case(128, 0.5, 256, 8, 4),
}
STEPS = 16  # steps of one round: exactly one has an R1 phase


@dataclass(frozen=True)
class Measurement:
    """Images per second of both definitions, medians of interleaved rounds, and peak memory of separate processes."""

    resolution: int
    precision: str
    plain_images_per_sec: float
    images_per_sec: float
    plain_peak_mib: float
    peak_mib: float
    operations_per_image: float
    peak_operations_per_sec: float

    @property
    def ratio(self) -> float:
        return self.images_per_sec / self.plain_images_per_sec

    @property
    def share_of_peak(self) -> float:
        """Operations done per second over those of the best convolution in the same precision."""
        return self.images_per_sec * self.operations_per_image / self.peak_operations_per_sec


def measure(case: Case, precision: str, rounds: int, threads: int) -> Measurement:
    """Interleave rounds of 16 steps of both definitions; the plain one is always fp32."""
    torch.set_num_threads(threads)
    ours, plain = build_step(case, precision), build_step(case, "plain")
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    _timed(plain, case, 0, steps=2)  # warm up; ours counts its operations meanwhile
    operations = count_operations(lambda: _timed(ours, case, 0))
    for position in range(rounds):
        for name, step in (("plain", plain), ("ours", ours)):
            seconds[name].append(_timed(step, case, position))
    images = STEPS * case.batch_size
    return Measurement(
        resolution=case.resolution,
        precision=precision,
        plain_images_per_sec=images / statistics.median(seconds["plain"]),
        images_per_sec=images / statistics.median(seconds["ours"]),
        plain_peak_mib=peak_memory(case, "plain", threads),
        peak_mib=peak_memory(case, precision, threads),
        operations_per_image=operations / images,
        peak_operations_per_sec=peak_operations_per_sec(torch.bfloat16 if precision == "bf16-mixed" else torch.float32),
    )


def build_step(case: Case, kind: str, first_step: int = 0) -> Step:
    """A function of a batch that trains, from `first_step` on: `kind` is `32`, `bf16-mixed` or `plain`."""
    stage = build_stage(case)
    stage.clock.images = first_step * case.batch_size
    if kind == "plain":
        plain = PlainStep(stage)
        plain.images = stage.clock.images
        return plain
    average = EmaCallback(stage.options.ema_kimg)

    def step(batch: Batch) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bf16-mixed"):
            stage.training_step(batch, 0)
        average.update(stage)

    return step


def build_stage(case: Case) -> AdaChStage:
    """The stage of the benchmark, ready for `training_step` without a Trainer."""
    consistency = ConsistencyConfig(perceptual="none")
    stage = AdaChStage(
        TrainConfig(
            stage=AdaChConfig(
                kimg=1, num_resolutions=case.num_resolutions, sampled_resolutions=2, consistency=consistency
            ),
            data=DataConfig(name="random", resolution=case.resolution, batch_size=case.batch_size),
            model=ModelConfig("benchmark", case.resolution, case.multiplier, channel_cap=case.channel_cap),
        )
    )
    stage.configure_optimizers()
    stage.on_fit_start()
    return stage


def random_batch(case: Case, first: int) -> Batch:
    """Random pixels at every trained resolution: decoding is not measured."""
    generator = torch.Generator().manual_seed(first)
    sides = [case.resolution >> level for level in range(case.num_resolutions)]
    images = {
        r: torch.randint(0, 256, (case.batch_size, 3, r, r), generator=generator, dtype=torch.uint8) for r in sides
    }
    return {"index": torch.arange(first, first + case.batch_size), "images": images}


def _timed(step: Step, case: Case, position: int, steps: int = STEPS) -> float:
    firsts = [(position * STEPS + index) * case.batch_size for index in range(steps)]
    batches = [random_batch(case, first) for first in firsts]
    start = time.perf_counter()
    for batch in batches:
        step(batch)
    return time.perf_counter() - start


def peak_memory(case: Case, kind: str, threads: int) -> float:
    """Peak resident memory in MiB of a fresh process that does two steps, the second with R1."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (case, kind, threads))


def _peak(case: Case, kind: str, threads: int) -> float:
    torch.set_num_threads(threads)
    step = build_step(case, kind, first_step=STEPS - 2)
    _timed(step, case, 0, steps=2)
    return _high_water_mib()


def _high_water_mib() -> float:
    """Peak memory of this program alone: `ru_maxrss` starts at that of the process it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(measurements: Sequence[Measurement]) -> str:
    """The measurements as Markdown."""
    lines = [
        "| px | precision | plain images/s | images/s | ratio | plain peak MiB | peak MiB | GFLOP/image | of peak |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for m in measurements:
        speed = f"{m.plain_images_per_sec:.1f} | {m.images_per_sec:.1f} | {m.ratio:.2f}"
        memory = f"{m.plain_peak_mib:.0f} | {m.peak_mib:.0f}"
        limit = f"{m.operations_per_image / 1e9:.2f} | {m.share_of_peak:.0%}"
        lines.append(f"| {m.resolution} | {m.precision} | {speed} | {memory} | {limit} |")
    return "\n".join(lines)
