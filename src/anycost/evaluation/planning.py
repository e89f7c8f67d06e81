"""Which passes an evaluation consists of: what is recorded already is left out, equal samplings share one pass."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anycost import __version__
from anycost.architecture import Architecture
from anycost.evaluation.passes import Column, Gathering, Pass
from anycost.evaluation.reference import Reference
from anycost.evaluation.shards import SHARDS
from anycost.evaluation.subjects import Subject
from anycost.metrics.measure import Measure
from anycost.metrics.records import Measurement
from anycost.metrics.states import State


@dataclass(frozen=True)
class Cell:
    """One measure of one architecture."""

    label: str
    architecture: Architecture
    measure: Measure

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for cells of equal values."""
        return self.architecture.key, self.measure.protocol.digest


@dataclass(frozen=True)
class Work:
    """A pass, and the cells whose states it gathers, in the order of its columns and gatherings."""

    work: Pass
    cells: list[list[Cell]]


@dataclass
class Plan:
    """The subject, its measures, and the real images where they are needed."""

    subject: Subject
    measures: Sequence[Measure]
    reference: Reference | None
    data: str
    batch_size: int
    shards: int = SHARDS
    attempt: str = ""

    @property
    def cells(self) -> list[Cell]:
        """All that was asked for."""
        architectures = self.subject.architectures.items()
        return [Cell(label, one, measure) for label, one in architectures for measure in self.measures]

    def recorded(self, cell: Cell, records: Iterable[Measurement]) -> list[Measurement]:
        """The newest records of a cell, one for each part of the metric."""
        data = self.data if cell.measure.needs_reals else ""
        digest = cell.measure.protocol.digest
        same = [
            one
            for one in records
            if (one.weights, one.data, one.architecture.key) == (self.subject.identity, data, cell.architecture.key)
            and (one.protocol.digest, one.network) == (digest, cell.measure.network)
        ]
        return list({one.part: one for one in same}.values())

    def passes(self, records: Sequence[Measurement]) -> list[Work]:
        """The passes over generated images that `records` leave to do: one for each sampling.

        Labels may name the same executed network: it is measured once.
        """
        groups: dict[Any, list[Cell]] = {}
        for cell in {cell.key: cell for cell in reversed(self.cells)}.values():
            if not self.recorded(cell, records):
                key = (cell.measure.sampling, cell.measure.protocol.epsilon)
                groups.setdefault(key, []).insert(0, cell)
        return [self._pass(cells) for cells in reversed(groups.values())]

    def missing_reals(self, works: Iterable[Work]) -> dict[int, list[Measure]]:
        """By resolution, the measures whose statistics of real images these passes need and nobody has made yet."""
        if self.reference is None:
            return {}
        cells = (cell for work in works for column in work.cells for cell in column)
        return self.reference.missing((cell.measure, cell.architecture.resolution) for cell in cells)

    def real_pass(self, missing: Mapping[int, Sequence[Measure]]) -> Pass:
        """The pass over real images that gathers what is missing."""
        assert self.reference is not None
        return self.reference.build(missing, self.batch_size, self.shards)

    def keep_reals(self, missing: Mapping[int, Sequence[Measure]], state: Callable[[int, int], State]) -> None:
        """Keep what the pass over real images gathered: `state(column, gathering)`."""
        assert self.reference is not None
        for c, (resolution, measures) in enumerate(missing.items()):
            for g, measure in enumerate(measures):
                self.reference.keep(measure, resolution, state(c, g))

    def measurements(self, cell: Cell, state: State, date: str = "") -> list[Measurement]:
        """What the state of a cell says."""
        reals = self.reals(cell)
        biased, error = cell.measure.is_biased(state, reals), cell.measure.error(state)
        return [
            Measurement(
                protocol=cell.measure.protocol,
                label=cell.label,
                architecture=cell.architecture,
                data=self.data if cell.measure.needs_reals else "",
                images=self.subject.images,
                value=value,
                biased=biased,
                part=part,
                weights=self.subject.identity,
                date=date,
                error=error,
                network=cell.measure.network,
            )
            for part, value in cell.measure.values(state, reals).items()
        ]

    def reals(self, cell: Cell) -> State | None:
        """The statistics of the real images that a cell is compared with; None where there are none."""
        if not cell.measure.needs_reals or self.reference is None:
            return None
        return self.reference.state(cell.measure, cell.architecture.resolution)

    def _pass(self, cells: Sequence[Cell]) -> Work:
        columns: dict[str, list[Cell]] = {}
        for cell in cells:
            columns.setdefault(cell.label, []).append(cell)
        measures = list({cell.measure.protocol.digest: cell.measure for cell in cells}.values())
        source = self.subject.source(list(columns), measures)
        key = {
            "subject": self.subject.identity,
            "columns": [[list(map(str, column[0].architecture.key)), [_key(cell) for cell in column]]
                        for column in columns.values()],
            "data": self.data if any(measure.needs_reals for measure in measures) else "",
            "version": __version__,
            "attempt": self.attempt,
        }  # fmt: skip
        gathered = [Column(label, tuple(map(_gathering, column))) for label, column in columns.items()]
        title = " ".join(measure.protocol.name for measure in measures)
        return Work(Pass(title, source, gathered, key, self.batch_size, self.shards), list(columns.values()))


def _key(cell: Cell) -> list[Any]:
    return [cell.measure.protocol.digest, cell.measure.network, cell.measure.real_key]


def _gathering(cell: Cell) -> Gathering:
    measure = cell.measure
    return Gathering(measure.protocol.name, measure.protocol.samples, measure.empty, measure.add)
