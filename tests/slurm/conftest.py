"""A real SLURM of two pretended machines per test process, and tiny runs of 160 steps, three seconds of a core."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anycost.configuration.convert import load_config
from anycost.interchange.weights import read_weights
from anycost.loggers.table import read_rows

ROOT = Path(__file__).parents[2]
IMAGES = 1280
LOGGED_EVERY = 80
TINY = [
    "data=folder", "data.resolution=8", "data.batch_size=8", "model.channel_cap=8", "model.latent_dim=16",
    "model.mapping_layers=1", "trainer=cpu", "trainer.threads=1", "trainer.precision=32", "schedule=paper",
    "features=embedded", "metrics=none", "callbacks=none", f"callbacks.log_every_kimg={LOGGED_EVERY / 1000}",
    "callbacks.checkpoint.every_kimg=100", "stage=stylegan2", f"stage.kimg={IMAGES / 1000}",
]  # fmt: skip


class Lab:
    """A throw-away SLURM and a folder to train in.

    Args:
        pictures: the data set.
        before: words before the script that starts the daemons.
    """

    def __init__(self, folder: Path, pictures: Path, options: Sequence[str] = (), before: Sequence[str] = ()) -> None:
        self.folder, self.pictures, self.before = folder, pictures, before
        self.slurm = Path(tempfile.mkdtemp(prefix="anycost-slurm-"))
        self._script = [str(ROOT / "slurm" / "cluster.sh")]
        alien = ("SLURM", "SBATCH", "SRUN", "SQUEUE", "MASTER_", "WANDB_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(alien)}
        self.environment |= {
            "SLURM_CONF": str(self.slurm / "slurm.conf"), "OMP_NUM_THREADS": "1", "WANDB_SILENT": "true",
            "PYTHONPATH": str(ROOT / "src"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip
        self.run(*before, *self._script, "start", f"--dir={self.slurm}", *options)

    def close(self) -> None:
        """End all of it; raise where a process of a job had outlived its job."""
        for job in self.queue():
            self.run("scancel", job)
        try:
            self.wait(lambda: not self.queue(), "all jobs have left the queue", 30)
            self.wait(lambda: not self.processes(), "no process of a job is left", 5)
        finally:
            self.run(*self._script, "stop", f"--dir={self.slurm}")
            left = self.processes("")
            shutil.rmtree(self.slurm)
        assert not left, f"these outlived the cluster: {left}"

    def processes(self, of: str = "SLURM_JOB_ID=") -> list[str]:
        """Command lines of the processes that have this cluster, and a job of it, in their environment."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                names = entry.joinpath("environ").read_bytes().decode(errors="replace").split("\0")
                command = entry.joinpath("cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if f"SLURM_CONF={self.slurm}/slurm.conf" in names and any(name.startswith(of) for name in names):
                found.append(f"{entry.name}: {command.replace(chr(0), ' ')}")
        return [line for line in found if not line.startswith(f"{os.getpid()}:")]

    def run(self, *command: str | Path, status: int | None = 0, **options: Any) -> str:
        """What a command printed, on both streams; it must end with this status (None: any)."""
        done = subprocess.run(
            [str(word) for word in command], cwd=self.folder, env=self.environment, text=True, timeout=400,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
        )  # fmt: skip
        assert status in (None, done.returncode), f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def anycost(self, *arguments: str | Path, status: int | None = 0) -> str:
        return self.run(sys.executable, "-m", "anycost", *arguments, status=status)

    def tiny(self, *overrides: str) -> list[str]:
        """The arguments of a tiny run."""
        return [*TINY, f"data.path={self.pictures}", *overrides]

    def sweep(self, name: str, *overrides: str) -> Path:
        """Submit tiny runs as the multirun `name` without waiting for them; its folder."""
        launcher = ["hydra/launcher=slurm", "cluster.detach=true", f"run={name}"]
        self.anycost("train", "-m", *launcher, *self.tiny(*overrides))
        return self.multirun(name)

    def multirun(self, name: str) -> Path:
        return self.folder / "logs" / "train" / "multiruns" / name

    def batch(self, name: str, *lines: str, options: Sequence[str] = ()) -> str:
        """Submit a batch script; its id. What it prints goes into the file `name`."""
        script = self.folder / f"{name}.sbatch"
        script.write_text("\n".join(["#!/bin/bash", *lines, ""]))
        answer = self.run("sbatch", "--parsable", "--open-mode=append", f"--output={name}.out", *options, script)
        return answer.strip()

    def output(self, name: str) -> str:
        path = self.folder / f"{name}.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def queue(self) -> dict[str, str]:
        """Id -> state of all jobs and array tasks that wait or run."""
        lines = self.run("squeue", "--noheader", "--array", "--format=%i|%T").split()
        return dict(line.split("|") for line in lines)

    def job(self, job: str) -> dict[str, str]:
        """What SLURM says of one job or array task, which it remembers for some minutes."""
        line = self.run("scontrol", "show", "job", "-o", job)
        return dict(word.split("=", 1) for word in line.split() if "=" in word)

    def signal(self, job: str, name: str = "USR1") -> None:
        """Send what SLURM sends before a time limit, to the steps of a job."""
        self.run("scancel", f"--signal={name}", job)

    def pending(self, pid: int, number: int) -> bool:
        """Whether a signal waits for a process that is stopped."""
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return False
        status = dict(line.split(":", 1) for line in lines if ":" in line)
        return bool((int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)) & 1 << number - 1)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 240) -> Any:
        """The first true value of `condition`."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, f"waited {seconds} s until {what}\n{self.describe()}"
            time.sleep(0.1)
        return value

    def settle(self) -> None:
        """Wait until the queue is empty, and stays so for some seconds.

        Jobs that are queued again wait there for as long as SLURM lets them: one that is told to begin at once
        (`StartTime=now`), in the second in which it was queued again, is taken for killed by its node, and lost.
        """

        def settled() -> bool:
            return all(not self.queue() and time.sleep(1) is None for _ in range(3))

        self.wait(settled, "the queue is empty", 400)

    def at_work(self, run: Path) -> bool:
        """Whether a run has logged its first steps, and goes on."""
        path = run / "metrics.csv"
        return path.is_file() and path.read_bytes().count(b"\n") >= 2

    def wait_for_work(self, *runs: Path) -> None:
        for run in runs:
            self.wait(lambda run=run: self.at_work(run), f"{run} trains")

    def status(self, sweep: Path) -> list[dict[str, Any]]:
        """What `anycost sweep status` says of every job."""
        return json.loads(self.anycost("sweep", "status", sweep, "format=json"))["jobs"]

    def describe(self) -> str:
        """What people would look at: the queue, the ends of what jobs printed, and of what the daemons logged."""
        outputs = [*sorted(self.folder.rglob("*.out")), *sorted((self.slurm / "log").glob("slurm*.log"))]
        ends = [f"--- {path}\n{path.read_text(errors='replace')[-3000:]}" for path in outputs]
        return "\n".join([self.run("squeue", "--states=all", status=None), *ends])


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "slurm-shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def once(shared: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """`once(name, make)`: the folder `name`, filled by `make(folder)` of whichever test process comes first."""

    def get(name: str, make: Callable[[Path], None]) -> Path:
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder = shared / name
            if not folder.exists():
                aside = shared / f"{name}.part"
                shutil.rmtree(aside, ignore_errors=True)
                aside.mkdir()
                make(aside)
                aside.rename(folder)
        return folder

    return get


@pytest.fixture(scope="session")
def pictures(once: Callable[..., Path]) -> Path:
    def draw(folder: Path) -> None:
        rng = np.random.default_rng(0)
        for number in range(12):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number}.png")

    return once("pictures", draw)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[Lab]:
    """Two pretended machines of four cores; whatever the tests do, nothing of it survives."""
    lab = Lab(tmp_path_factory.mktemp("lab"), pictures, ["--nodes=2", "--cpus=4"])
    yield lab
    lab.close()


@pytest.fixture
def lab(cluster: Lab, tmp_path: Path) -> Iterator[Lab]:
    """The cluster, with a folder of this test; jobs that the test leaves behind are cancelled."""
    cluster.folder = tmp_path
    yield cluster
    for job in cluster.queue():
        cluster.run("scancel", job)


@pytest.fixture(scope="session")
def reference(once: Callable[..., Path], pictures: Path) -> Callable[..., Path]:
    """`reference(seed, processes)`: the run folder of an uninterrupted run, without SLURM."""

    def train(folder: Path, *arguments: str) -> None:
        words = [*TINY, f"data.path={pictures}", f"paths.logs={folder}", *arguments]
        subprocess.run([sys.executable, "-m", "anycost", "train", *words], check=True, timeout=900, cwd=folder)

    def get(seed: int = 0, processes: int = 1) -> Path:
        if processes > 1:
            folder = once("pair", lambda folder: train(folder, f"seed={seed}", "trainer.devices=2", "run=pair"))
            return folder / "train" / "runs" / "pair"
        folder = once("single", lambda folder: train(folder, "-m", "seed=0,1", "run=single"))
        runs = (folder / "train" / "multiruns" / "single").glob("*/weights.safetensors")
        return next(path.parent for path in runs if load_config(path.with_name("config.yaml")).seed == seed)

    return get


@pytest.fixture
def small_disk(lab: Lab) -> Iterator[Path]:
    """A file system of four megabytes."""
    disk = lab.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no SLURM test of a full disk: mounting a small one needs root")
    yield disk
    for job in lab.queue():
        lab.run("scancel", job)
    lab.wait(lambda: not lab.processes(), "no job uses the disk any more")
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def same() -> Callable[[Path, Path], None]:
    """`same(run, reference)`: equal to the bit, and logged the same values at the same image counts, once each.

    What the run measured besides, which the reference did not, is passed over.
    """

    def check(run: Path, reference: Path) -> None:
        assert (run / "weights.safetensors").exists(), f"{run} has no weights"
        tensors, expected = (read_weights(path / "weights.safetensors")[0] for path in (run, reference))
        assert tensors.keys() == expected.keys()
        assert [name for name in expected if not tensors[name].equal(expected[name])] == []
        rows, wanted = (read_rows(path / "metrics.csv") for path in (run, reference))
        columns = set().union(*wanted)
        assert [{name: row[name] for name in row if name in columns} for row in rows] == wanted
        assert len(rows) == IMAGES // LOGGED_EVERY

    return check
