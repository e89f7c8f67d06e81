"""Signals that ask a run to stop are remembered, not obeyed: the work asks for them where it can be interrupted.

Installed by `anycost train` before anything heavy is imported, so that no signal is lost and none kills, whenever it
comes. SIGINT and SIGTERM mean stop, SIGUSR1 (SLURM's `--signal`) means save and queue again, SIGUSR2 is submitit's.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from anycost.processes import PARENT

Handler = Callable[[int, FrameType | None], Any] | int | None

REQUEUE_STATUS = "ANYCOST_REQUEUE_STATUS"
"""Variable with the exit status at which a batch script queues its job again, where Python runs in an image without
SLURM's commands."""

_first = 0
_patient = False
_before: dict[int, Handler] = {}


class Stopped(Exception):
    """A signal came, and what was to be saved is saved."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"stopped by {signal.Signals(number).name}")

    def leave(self) -> NoReturn:
        """Leave the program with the status that is usual after the signal: 128 + its number."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt from self
        raise SystemExit(128 + self.number) from self


@contextmanager
def remembered() -> Iterator[None]:
    """Remember signals while the block runs, then put the handlers back that were there before.

    Inside another such block, and outside of the main thread, nothing changes.
    """
    global _first, _patient
    if _before or threading.current_thread() is not threading.main_thread():
        yield
        return
    _patient = _follows()
    for number in _stopping():
        _before[number] = signal.signal(number, _remember)
    try:
        yield
    finally:
        for each, handler in _before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        _before.clear()
        _first = 0


def received() -> int:
    """The first signal that came, 0 where none did."""
    return _first


def heed() -> None:
    """Where all is done and a signal came meanwhile, leave the program, so that nothing else starts.

    A job that has done all is left to end well.
    """
    if _first and not _patient:
        Stopped(_first).leave()


def handler_before(number: int) -> Handler:
    """The handler of a signal that was there before ours; None where there was none in Python."""
    return _before.get(number)


def in_job() -> bool:
    """Whether this is the work of a SLURM job, not of somebody at a terminal inside an allocation."""
    return "SLURM_JOB_ID" in os.environ and not (sys.stdin is not None and sys.stdin.isatty())


def in_submitit() -> bool:
    """Whether submitit started this process; it has a way of its own to queue a job again."""
    return "SUBMITIT_EXECUTOR" in os.environ


def shield_worker(worker: int = 0) -> None:
    """Let a loader's worker process (`worker_init_fn`) die of no signal but its parent's.

    SLURM signals all processes of a step, a terminal all of its foreground: a worker that died would break the step
    that is to be finished and saved.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=_end_at_the_word_of_the_parent, daemon=True).start()


def _end_at_the_word_of_the_parent() -> None:
    """SIGTERM is how a parent ends workers that it does not need any more; it waits for them then."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


def _stopping() -> list[signal.Signals]:
    stopping: list[signal.Signals] = [signal.SIGTERM, signal.SIGUSR1]
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a shell's background job: Ctrl-C is not for it
        stopping.append(signal.SIGINT)
    return [*stopping, signal.SIGUSR2] if in_submitit() else stopping


def _remember(number: int, frame: FrameType | None) -> None:
    global _first
    if _first:
        return
    _first = number
    second = ""
    if not _patient:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        second = "; a second signal stops at once"
    with suppress(OSError):  # not by print: the signal may have come in the middle of one
        os.write(1, f"{signal.Signals(number).name}: stopping after this step{second}\n".encode())


def _follows() -> bool:
    """Whether a second signal changes nothing: a job gets several, a local process follows its parent.

    Asked at the start, since a process that starts others becomes the parent that the variable names.
    """
    return in_job() or os.environ.get(PARENT, str(os.getpid())) != str(os.getpid())
