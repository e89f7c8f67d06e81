"""Measures a latency table: every layer at every pair of channel counts, inside whole pictures.

Layers are timed where they run, in the executor itself, so that caches and memory are as in real use: each round
renders architectures that together visit every (input, output) count of every layer, in random order among known
ones for the scale and random ones for the error. Of every part of every picture the least time over the rounds
counts: on a busy machine the scheduler interrupts whole pictures again and again, but hardly the same layer each time.
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.networks.generator import Generator
from anycost.pricing.executors import Conditions, Executor, executor, running_under
from anycost.pricing.latency_table import LatencyTable, LayerTimes, PredictionError
from anycost.pricing.macs import executed_layers

LEAST_ROUNDS, MOST_ROUNDS = 4, 40
HELD_OUT = 12
_WIDEST_AXIS = 5  # counts per point

Cell = tuple[int, int, int]  # (layer, inputs, outputs); layer -1 is what precedes the first one
Cells = dict[Cell, float]  # least milliseconds
_Parts = list[list[float]]  # of each whole architecture, those of its parts


def survey(
    generator: Generator,
    wanted: Conditions,
    seconds: float = 12.0,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> LatencyTable:
    """Measure as many rounds as fit into about `seconds`, at least `LEAST_ROUNDS`."""
    space, device, rng = generator.space, generator.constant.device, random.Random(seed)
    cover, known = _Cover(space, rng), _known(space)
    held_out = _held_out(space, rng, known)
    wholes = [*known, *held_out]
    cells: Cells = {}
    parts: _Parts = [[] for _ in wholes]
    training = generator.training
    generator.eval()
    try:
        with running_under(wanted, device):
            execute = executor(generator, wanted)
            rounds = _rounds(lambda: _round(execute, cover, wholes, rng, cells, parts), seconds, report)
    finally:
        generator.train(training)
    return _table(generator, wanted, wholes, cells, [sum(one) for one in parts], rounds)


def _rounds(one_round: Callable[[], None], seconds: float, report: Callable[[str], None] | None) -> int:
    """Do rounds for about `seconds`; how many.

    The first one, which warms up, counts too: what it takes longer leaves no trace in least times.
    """
    start, rounds, done = time.perf_counter(), LEAST_ROUNDS, 0
    while done < rounds:
        one_round()
        done += 1
        if done == 2:
            round_sec = (time.perf_counter() - start) / 2
            rounds = min(max(int(seconds / round_sec), LEAST_ROUNDS), MOST_ROUNDS)
        if report is not None and done % max(rounds // 4, 1) == 0:
            report(f"latency table: round {done} of {rounds}")
    return rounds


class _Cover:
    """Draws architectures at full resolution so that every pair of neighbouring counts comes equally often."""

    def __init__(self, space: ArchitectureSpace, rng: random.Random) -> None:
        self.space, self.rng = space, rng
        self.counts = [_counts(space, point) for point in range(space.num_points)]
        self.visits: dict[tuple[int, int, int], int] = {}

    @property
    def size(self) -> int:
        """Architectures that visit every pair once."""
        return max(len(first) * len(second) for first, second in pairwise(self.counts))

    def draw(self) -> Architecture:
        chosen: list[int] = []
        for point, counts in enumerate(self.counts):
            pairs = [(point, chosen[-1] if chosen else 0, count) for count in counts]
            least = min(self.visits.get(pair, 0) for pair in pairs)
            pair = self.rng.choice([pair for pair in pairs if self.visits.get(pair, 0) == least])
            self.visits[pair] = least + 1
            chosen.append(pair[2])
        return self.space.from_channels(chosen)


def _counts(space: ArchitectureSpace, point: int) -> tuple[int, ...]:
    """Counts at a point to measure: those of flexible and uniform architectures; two at least, five at most."""
    allowed = space.allowed_ratios(point)
    found = {space.from_ratios((ratio,) * space.num_points).channels[point] for ratio in allowed}
    full = space.full_channels[point]
    if space.channels is None:
        found |= {space.uniform(ratio).channels[point] for ratio in space.ratios}
    if len(found) == 1 and full > 1:
        found.add(full // 2)  # so that other counts can be predicted too
    ascending = sorted(found)
    if len(ascending) <= _WIDEST_AXIS:
        return tuple(ascending)
    return tuple(ascending[round(i * (len(ascending) - 1) / (_WIDEST_AXIS - 1))] for i in range(_WIDEST_AXIS))


def _known(space: ArchitectureSpace) -> list[Architecture]:
    """Whole architectures that set the scale: the largest and the smallest uniform one of each resolution."""
    smallest = space.ratios[0]
    return [a for r in space.resolutions for a in (space.full(r), space.uniform(smallest, r))]


def _held_out(space: ArchitectureSpace, rng: random.Random, known: list[Architecture]) -> list[Architecture]:
    """Random ones, none of them known, as distinct as the space has them."""
    keys = {one.key for one in known}
    drawn: list[Architecture] = []
    for _ in range(50 * HELD_OUT):
        one = space.sample(rng, "flexible", rng.choice(space.resolutions))
        if one.key not in keys and len(drawn) < HELD_OUT:
            keys.add(one.key)
            drawn.append(one)
    return drawn or known  # a space of hardly more than these


def _round(
    execute: Executor,
    cover: _Cover,
    wholes: list[Architecture],
    rng: random.Random,
    cells: Cells,
    parts: _Parts,
) -> None:
    """One pass over the cover and all wholes in random order, which lowers the times in `cells` and `parts`."""
    jobs: list[int | None] = [*range(len(wholes)), *[None] * cover.size]
    rng.shuffle(jobs)
    for job in jobs:
        architecture = cover.draw() if job is None else wholes[job]
        times = execute(architecture).parts_ms()
        if job is not None:
            parts[job] = list(map(min, times, parts[job] or times))
            continue
        for cell, elapsed in zip(_cells(cover.space, architecture), times, strict=True):
            cells[cell] = min(elapsed, cells.get(cell, elapsed))


def _cells(space: ArchitectureSpace, architecture: Architecture) -> list[Cell]:
    layers = executed_layers(space, architecture)
    return [(-1, 0, 0), *((place, layer.inputs, layer.outputs) for place, layer in enumerate(layers))]


def _table(
    generator: Generator,
    wanted: Conditions,
    wholes: list[Architecture],
    cells: Cells,
    measured: list[float],
    rounds: int,
) -> LatencyTable:
    """The scale from the known wholes, the error from the others; `measured` are the times of `wholes`."""
    table = LatencyTable(
        generator.space,
        generator.latent_dim,
        len(generator.mapping.layers),
        wanted,
        fixed_ms=cells[-1, 0, 0],
        layers=tuple(_layer_times(cells, place) for place in range(1 + max(cell[0] for cell in cells))),
        scale=1.0,
        error=PredictionError(0.0, 0.0, 0, rounds),
    )
    split = len(_known(generator.space))
    pairs = [(table.predict_ms(one), ms) for one, ms in zip(wholes, measured, strict=True)]
    scale = statistics.median(ms / predicted for predicted, ms in pairs[:split])
    errors = torch.tensor([abs(scale * predicted - ms) / ms for predicted, ms in pairs[split:]], dtype=torch.float64)
    median, p90 = torch.quantile(errors, torch.tensor([0.5, 0.9], dtype=torch.float64)).tolist()
    return replace(table, scale=scale, error=PredictionError(median, p90, len(errors), rounds))


def _layer_times(cells: Cells, place: int) -> LayerTimes:
    found = {(inputs, outputs): ms for (layer, inputs, outputs), ms in cells.items() if layer == place}
    inputs = tuple(sorted({key[0] for key in found}))
    outputs = tuple(sorted({key[1] for key in found}))
    return LayerTimes(inputs, outputs, tuple(tuple(found[i, o] for o in outputs) for i in inputs))
