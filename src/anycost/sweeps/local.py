"""A bounded pool of local processes, one per job; jobs that start from others' weights wait for them.

The pool owns the sweep's folder while it works. It stops its jobs when it is stopped: they save first. When it is
killed, they notice it and stop likewise.
"""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from anycost import signals
from anycost.configuration.convert import load_config
from anycost.configuration.schema import TrainConfig
from anycost.processes import PARENT
from anycost.sweeps.record import Job, Submission, Sweep, append_submission, now
from anycost.sweeps.script import working_folder
from anycost.sweeps.submit import is_finished, origins_left
from anycost.sweeps.waiting import check_outcome

log = logging.getLogger(__name__)

LOGS = "local"
"""Folder of what jobs print, inside the sweep's."""
_POLL_SEC = 0.1


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """The GPUs that jobs may use, by the names of CUDA_VISIBLE_DEVICES; none where there is no NVIDIA driver."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name and name != "-1"]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return [str(number) for number, _ in enumerate(listed.stdout.splitlines())] if listed.returncode == 0 else []


def places(config: TrainConfig, jobs: int) -> int:
    """How many of `jobs` run at a time: `cluster.max_parallel`, else what cores and GPUs allow."""
    cluster, trainer = config.cluster, config.trainer
    most = cluster.max_parallel or max(cores() // (trainer.devices * (trainer.threads or cluster.cpus_per_task)), 1)
    if trainer.accelerator != "cpu" and (have := gpus()):
        most = min(most, max(len(have) // trainer.devices, 1))
    return max(min(most, jobs), 1)


def fair_threads(config: TrainConfig, jobs: int) -> int:
    """Threads of each process when the places are taken."""
    return max(cores() // (places(config, jobs) * config.trainer.devices), 1)


def run_locally(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Run `jobs`; `UserError` that lists those that failed, and those that were not run because of them."""
    if not jobs:
        return
    for job in jobs:
        origins_left(sweep, job, [other.index for other in jobs])
    append_submission(sweep.folder, Submission(now(), "local", str(os.getpid()), socket.gethostname(),
                                               [job.index for job in jobs]))
    (sweep.folder / LOGS).mkdir(parents=True, exist_ok=True)
    pool = _Pool(sweep, list(jobs))
    with signals.remembered():
        try:
            while pool.step():
                if number := signals.received():
                    pool.stop(number)
                    signals.Stopped(number).leave()
                time.sleep(_POLL_SEC)
        finally:
            pool.stop(signal.SIGTERM)
    check_outcome(sweep, jobs)


@dataclass
class _Pool:
    sweep: Sweep
    left: list[Job]
    running: dict[int, subprocess.Popen] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    gpus: dict[int, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.configs = {job.index: load_config(self.sweep.run_dir(job) / "config.yaml") for job in self.left}
        self.most = min(places(config, len(self.left)) for config in self.configs.values())
        self.free = gpus()

    def step(self) -> bool:
        """Take back the places of jobs that ended, and fill them; whether anything runs or will."""
        for index, process in list(self.running.items()):
            if process.poll() is not None:
                del self.running[index]
                self.free += self.gpus.pop(index, [])
                job = self.sweep.job(index)
                log.info("job %d %s: %s", index, "finished" if is_finished(self.sweep, job) else "did not finish",
                         self.sweep.label(job))
        unfinished = {job.index for job in self.left} | set(self.running)
        for job in list(self.left):
            if len(self.running) >= self.most:
                break
            if unfinished.intersection(job.after):
                continue
            if not all(map(self._is_finished, job.after)):
                self.left.remove(job)  # what it starts from failed
            elif self._has_gpus(job):
                self.left.remove(job)
                self._start(job)
        return bool(self.left or self.running)

    def stop(self, number: int) -> None:
        """Let the jobs that run save and end, and wait for them."""
        for process in self.running.values():
            process.send_signal(number)
        for process in self.running.values():
            process.wait()

    def _is_finished(self, index: int) -> bool:
        if index not in self.finished and is_finished(self.sweep, self.sweep.job(index)):
            self.finished.add(index)
        return index in self.finished

    def _wanted(self, job: Job) -> int:
        trainer = self.configs[job.index].trainer
        return trainer.devices if trainer.accelerator != "cpu" and (self.free or self.gpus) else 0

    def _has_gpus(self, job: Job) -> bool:
        return not self.running or self._wanted(job) <= len(self.free)

    def _start(self, job: Job) -> None:
        folder = self.sweep.folder.absolute()
        command = [sys.executable, "-m", "anycost.commands.train", "--job", str(folder), str(job.index)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        environment[PARENT] = str(os.getpid())
        if wanted := self._wanted(job):
            self.gpus[job.index], self.free = self.free[:wanted], self.free[wanted:]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpus[job.index])
        output = folder / LOGS / f"{job.index}.out"
        log.info("job %d starts: %s", job.index, self.sweep.label(job))
        with output.open("ab") as file:
            self.running[job.index] = subprocess.Popen(
                command, cwd=working_folder(self.sweep), env=environment, stdin=subprocess.DEVNULL, stdout=file,
                stderr=file, start_new_session=True,
            )
