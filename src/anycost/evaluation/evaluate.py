"""The story of an evaluation: passes, shards, processes, records. One owner of the loop for commands and training.

Work that is not finished lies in `<output>/work/<digest>/`, one file per shard, and goes when its records are written
to `<output>/records.jsonl`.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from anycost.errors import UserError
from anycost.evaluation.passes import Pass, States, gather, merged, stored_state
from anycost.evaluation.planning import Cell, Plan, Work
from anycost.evaluation.processes import Team
from anycost.evaluation.progress import Meter, estimates_line
from anycost.evaluation.results import headline
from anycost.evaluation.shards import Shard, WorkFolder
from anycost.files import lock_folder
from anycost.metrics.records import Measurement, read_measurements, write_measurements
from anycost.metrics.states import State

log = logging.getLogger(__name__)

RECORDS = "records.jsonl"
_POLL_SEC = 0.3
_TELL_SEC = 60.0  # of waiting between two looks at why
_ESTIMATE_STEP = 0.1  # of this process's images of a pass
_ESTIMATE_SHARE = 0.05  # of the time at most goes into estimates
_NO_ESTIMATES = ("precision_recall",)  # all pairs of features, each time


# ---- in files: resumable, by many processes


def evaluate(plan: Plan, output: Path, team: Team, meter: Meter, again: bool = False) -> list[Measurement]:
    """Measure what is not recorded in `output`; all values asked for, in the order of the request.

    Only the leader of the team writes records and gets values; `again` measures everything anew.
    """
    with ExitStack() as stack:
        if team.leads:
            stack.enter_context(owned(output))
        stack.enter_context(meter)
        return _Evaluation(plan, output, team, meter, again).run()


def read_records(output: Path) -> list[Measurement]:
    """The records of a folder, oldest first; `UserError` where the file is damaged."""
    path = output / RECORDS
    try:
        return read_measurements(path)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); move it away, or choose output=DIR") from error


@contextmanager
def owned(output: Path) -> Iterator[None]:
    """Make the folder and own it while the block runs; `UserError` where it cannot be written or has an owner."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output={output} cannot be written ({error.strerror}); choose another folder") from error
    with lock_folder(output, f"another evaluation is at work in {output}; wait for it, or choose output=DIR"):
        yield


@dataclass
class _Job:
    """A pass, what to do with its merged states, and whether somebody has done it already."""

    work: Pass
    finish: Callable[[Callable[[int, int], State]], None]
    is_done: Callable[[], bool]
    cells: list[list[Cell]] = field(default_factory=list)


@dataclass
class _Evaluation:
    plan: Plan
    output: Path
    team: Team
    meter: Meter
    again: bool

    def run(self) -> list[Measurement]:
        works = self.plan.passes([] if self.again else read_records(self.output))
        self._announce(works)
        jobs = [*self._real_jobs(works), *map(self._job, works)]
        for job in jobs:
            self.meter.expect(sum(self._size(job.work, shard) for shard in self._own(job.work)))
        for job in jobs:
            self._do(job)
        if not self.team.leads:
            return []
        records = read_records(self.output)
        return [
            replace(one, label=cell.label) for cell in self.plan.cells for one in self.plan.recorded(cell, records)
        ]

    def _announce(self, works: Sequence[Work]) -> None:
        left, total = sum(len(column) for work in works for column in work.cells), len(self.plan.cells)
        if left < total:
            self.meter.say(
                f"{total - left} of {total} measurements are in {self.output / RECORDS} already and not taken again "
                "(resume=never takes them again)"
            )

    def _job(self, work: Work) -> _Job:
        cells = [cell for column in work.cells for cell in column]

        def finish(state: Callable[[int, int], State]) -> None:
            date = datetime.now(UTC).isoformat(timespec="seconds")
            new = [
                one
                for c, column in enumerate(work.cells)
                for g, cell in enumerate(column)
                for one in self.plan.measurements(cell, state(c, g), date)
            ]
            write_measurements(self.output / RECORDS, [*read_records(self.output), *new])

        def is_done() -> bool:
            records = read_records(self.output)
            return not self.again and all(self.plan.recorded(cell, records) for cell in cells)

        return _Job(work.work, finish, is_done, work.cells)

    def _real_jobs(self, works: Sequence[Work]) -> list[_Job]:
        missing = self.plan.missing_reals(works)
        if not missing:
            return []

        def finish(state: Callable[[int, int], State]) -> None:
            self.plan.keep_reals(missing, state)

        return [_Job(self.plan.real_pass(missing), finish, lambda: not self.plan.missing_reals(works))]

    def _do(self, job: _Job) -> None:
        """This process's shards of one pass; the leader then waits for the others' and finishes it."""
        if not self.team.leads and job.is_done():
            return
        work, folder = job.work, WorkFolder(self.output / "work" / job.work.digest)
        self.meter.begin(work.title)
        folder.describe(work.key)
        watch = _Watch(self, job, folder)
        self._gather(self._own(work), watch)
        if self.team.leads:
            if self._whole(watch):
                self.meter.begin(f"{work.title}: last sums")
                files = [folder.shard(shard) for shard in work.shards]
                job.finish(lambda c, g: merged(_present(stored_state(work, file, c, g)) for file in files))
            folder.remove()

    def _gather(self, shards: Sequence[Shard], watch: "_Watch") -> None:
        """Measure what is missing of these shards of a pass."""
        work = watch.job.work
        for shard in shards:
            file = watch.folder.shard(shard)
            position = file.position() or shard.first
            self.meter.skip((position - shard.first) * len(work.columns))
            if position < shard.stop:
                watch.shard = shard
                gather(work, shard, file, watch.pulse)

    def _whole(self, watch: "_Watch") -> bool:
        """Wait until the shards of all processes are whole; False where somebody else has finished the job meanwhile.

        Another command may fill the cache of real images while processes start. Those that find it full leave their
        shards alone, so that the leader waits for nobody: it looks there too, or does the rest where all have ended.
        """
        work, told = watch.job.work, time.monotonic()
        while missing := [one for one in work.shards if watch.folder.shard(one).position() != one.stop]:
            self.team.check()
            if self.team.is_left_alone:
                self._gather(missing, watch)
                continue
            if time.monotonic() - told > _TELL_SEC:
                told = time.monotonic()
                if watch.job.is_done():
                    return False
                self.meter.say(f"{work.title}: waiting for {len(missing)} shards of other processes")
            time.sleep(_POLL_SEC)
        return True

    def _own(self, work: Pass) -> list[Shard]:
        return [shard for shard in work.shards if self.team.takes(shard.number)]

    @staticmethod
    def _size(work: Pass, shard: Shard) -> int:
        return (shard.stop - shard.first) * len(work.columns)


class _Watch:
    """After every batch: progress, the health of other processes, now and then the running estimates."""

    def __init__(self, evaluation: _Evaluation, job: _Job, folder: WorkFolder) -> None:
        self.evaluation, self.job, self.folder = evaluation, job, folder
        self.shard = job.work.shards[0]
        own = sum(shard.stop - shard.first for shard in evaluation._own(job.work))
        self.step = max(int(own * _ESTIMATE_STEP), 1)
        self.seen = 0
        self.complete: set[str] = set()  # names of metrics that have all their samples
        self.estimated, self.cost = time.monotonic(), 0.0

    def pulse(self, images: int, states: States, position: int) -> None:
        self.evaluation.meter.advance(images)
        self.evaluation.team.check()
        before, self.seen = self.seen, self.seen + images // len(self.job.work.columns)
        if self.job.cells and self.evaluation.team.leads and self.seen // self.step > before // self.step:
            self._estimate(states)

    def _estimate(self, states: States) -> None:
        started = time.monotonic()
        if started - self.estimated < self.cost / _ESTIMATE_SHARE:
            return
        found: dict[str, list[tuple[int, Measurement]]] = {}
        for c, column in enumerate(self.job.cells):
            for g, cell in enumerate(column):
                protocol = cell.measure.protocol
                if protocol.kind in _NO_ESTIMATES or protocol.name in self.complete:
                    continue
                state = self._so_far(states, c, g)
                new = headline(self.evaluation.plan.measurements(cell, state))
                found.setdefault(protocol.name, []).extend((state.count, one) for one in new)
        for name, values in found.items():
            if values and min(count for count, _ in values) >= values[0][1].protocol.samples:
                self.complete.add(name)
            self.evaluation.meter.say(estimates_line(name, values))
        self.estimated = time.monotonic()
        self.cost = self.estimated - started

    def _so_far(self, states: States, column: int, gathering: int) -> State:
        """What is known of a cell: the state at hand, and the files of the other shards."""
        work = self.job.work
        others = [self.folder.shard(shard) for shard in work.shards if shard != self.shard]
        stored = (stored_state(work, file, column, gathering) for file in others)
        return merged([states[column][gathering], *(state for state in stored if state is not None)])


def _present(state: State | None) -> State:
    assert state is not None, "a finished shard has a state for every column"
    return state


# ---- in memory: for training


def evaluate_in_memory(plan: Plan, pulse: Callable[[], object] = lambda: None) -> list[Measurement]:
    """The same values without files (but for statistics of the real images), in this process alone.

    `pulse` is called before the first batch and after every batch; what it raises ends the evaluation.
    """
    pulse()
    works = plan.passes([])
    if missing := plan.missing_reals(works):
        work = plan.real_pass(missing)
        log.info("measuring %d %s (kept for later runs)", work.samples, work.title)
        states = _states(work, pulse)
        plan.keep_reals(missing, lambda c, g: states[c][g])
    states_of = {
        cell.key: state
        for group in works
        for cells, column in zip(group.cells, _states(group.work, pulse), strict=True)
        for cell, state in zip(cells, column, strict=True)
    }
    return [one for cell in plan.cells for one in plan.measurements(cell, states_of[cell.key])]


def _states(work: Pass, pulse: Callable[[], object]) -> States:
    def heard(images: int, states: States, position: int) -> None:
        pulse()

    shards = [gather(work, shard, pulse=heard) for shard in work.shards]
    return [
        [merged(states[c][g] for states in shards) for g in range(len(column.gatherings))]
        for c, column in enumerate(work.columns)
    ]
