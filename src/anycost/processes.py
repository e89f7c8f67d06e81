"""Local processes that belong together: they end with the one that started them, and their last words are heard."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

PARENT = "ANYCOST_PARENT"
"""Environment variable that names the process which started this one."""
_SHOWN_LINES = 20


def end_with_parent() -> None:
    """Let this process end with the one that `PARENT` names; nothing where none is named."""
    _when_parent_ends(lambda: os._exit(1))


def stop_with_parent() -> None:
    """As `end_with_parent`, for a process that has something to save: it gets SIGTERM, as if somebody had sent it."""
    _when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))


def _when_parent_ends(act: Callable[[], object]) -> None:
    parent = os.environ.get(PARENT)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(1)
        act()

    threading.Thread(target=watch, daemon=True).start()


def failure(process: subprocess.Popen, log: Path, name: str) -> str | None:
    """What became of the process called `name`, and the end of its `log`; None where it works on or ended well."""
    status = process.poll()
    if status in (None, 0):
        return None
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    last = "\n".join(log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
    return f"{name} {how}; the end of {log}:\n{last}"
