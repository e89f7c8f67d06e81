"""A sweep of short jobs on a throw-away SLURM, preempted at random, and whether anything can be seen of that.

    python slurm/soak.py jobs=12 preemptions=20 seed=0 folder=soak

Runs every job once without SLURM, and beside that all of them as one sweep whose jobs are thrown out of their places,
each time another: by the signal of a time limit, by `scontrol requeue`, or by a job of higher priority (seeded). At the
end every job must have finished with the weights of its uninterrupted run to the bit and the same metrics.csv, have
one run of Weights & Biases (offline), and no process may be left. Prints a table; the exit status says whether all is
well. Needs the packages `slurm-wlm` and `munge`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from anycost.attempts import read_attempts
from anycost.configuration.convert import load_config
from anycost.files import atomic_write
from anycost.loggers.table import read_rows

ROOT = Path(__file__).parents[1]
KINDS = ("time limit", "requeue", "priority")
OPTIONS = {"jobs": 12, "preemptions": 20, "seed": 0, "kimg": 2.4, "folder": "soak"}
TINY = [
    "data=faces", "data.resolution=16", "data.size=64", "data.batch_size=8", "model.channel_cap=8",
    "model.latent_dim=16", "model.mapping_layers=1", "trainer=cpu", "trainer.threads=1", "trainer.precision=32",
    "features=embedded", "metrics=none", "callbacks=none", "callbacks.log_every_kimg=0.08", "stage=stylegan2",
    "logger.wandb=true", "logger.wandb_mode=offline",
]  # fmt: skip


class Soak:
    """The cluster, the sweep on it, and what is done to it."""

    def __init__(self, jobs: int, kimg: float, folder: Path) -> None:
        self.folder, self.slurm = folder, folder / "slurm"
        self.environment = {**os.environ, "SLURM_CONF": str(self.slurm / "slurm.conf"), "OMP_NUM_THREADS": "1",
                            "PYTHONPATH": str(ROOT / "src"), "WANDB_SILENT": "true"}
        self.command = ["train", "-m", *TINY, f"stage.kimg={kimg}", f"seed=range(0,{jobs})"]

    def run(self, *words: str | Path, check: bool = True) -> str:
        """What a command printed; where it fails, that is the end, unless `check` is false."""
        done = subprocess.run([str(word) for word in words], env=self.environment, cwd=self.folder, text=True,
                              stdout=subprocess.PIPE)
        if done.returncode and check:
            raise SystemExit(f"{' '.join(map(str, words))} failed with {done.returncode}: {done.stdout}")
        return done.stdout

    def train(self, *words: str) -> None:
        self.run(sys.executable, "-m", "anycost", *self.command, *words)

    def begin_plain(self) -> subprocess.Popen[bytes]:
        """Start the uninterrupted runs, one after the other in a process beside the cluster."""
        words = [sys.executable, "-m", "anycost", *self.command, "run=plain"]
        with (self.folder / "plain.log").open("wb") as log:
            return subprocess.Popen(words, env=self.environment, cwd=self.folder, stdout=log, stderr=log)

    def cluster(self, verb: str, *options: str) -> None:
        self.run(ROOT / "slurm" / "cluster.sh", verb, f"--dir={self.slurm}", *options)

    def runs(self, name: str) -> dict[int, Path]:
        """Seed -> run folder of the multirun `name`."""
        found = (self.folder / "logs" / "train" / "multiruns" / name).glob("stylegan2-*")
        return {load_config(run / "config.yaml").seed: run for run in found}

    def queue(self) -> dict[int, tuple[str, str]]:
        """Index of every job in the queue -> its id and state."""
        rows = self.run("squeue", "--noheader", "--array", "--partition=low", "--format=%i|%T").split()
        return {int(row.partition("_")[2].partition("|")[0]): (row.partition("|")[0], row.partition("|")[2])
                for row in rows}

    def interrupt(self, kind: str, job: str) -> None:
        """Throw a job out of its place; one that is just ending or changing places is left alone by SLURM."""
        if kind == "time limit":
            self.run("scancel", "--signal=USR1", job, check=False)
        elif kind == "requeue":
            self.run("scontrol", "requeue", job, check=False)
        else:
            node = self.run("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()
            self.run("sbatch", "--partition=debug", f"--nodelist={node}", "--exclusive", "--output=/dev/null",
                     "--wrap=sleep 1")


def soak(jobs: int, preemptions: int, seed: int, kimg: float, folder: Path) -> bool:
    """The whole story; whether all is well."""
    setup = Soak(jobs, kimg, folder)
    uninterrupted = setup.begin_plain()
    setup.cluster("start", "--nodes=2", "--cpus=3")
    try:
        setup.train("run=soaked", "hydra/launcher=slurm", "cluster.partition=low", "cluster.detach=true")
        soaked = setup.runs("soaked")
        done = _interrupt_at_random(setup, soaked, preemptions, random.Random(seed))
        while setup.queue():
            time.sleep(0.5)
        left = _processes(setup)
        if uninterrupted.wait():
            raise SystemExit(f"the uninterrupted runs failed; see {setup.folder / 'plain.log'}")
    finally:
        uninterrupted.kill()
        setup.cluster("stop")
    return _table(setup.runs("plain"), soaked, done, left)


def _interrupt_at_random(setup: Soak, runs: dict[int, Path], count: int, rng: random.Random) -> list[str]:
    """Interrupt a random job at work, `count` times; each time wait until somebody has indeed been thrown out."""
    done: list[str] = []
    while len(done) < count:
        time.sleep(rng.uniform(0, 1))
        queue = setup.queue()
        if not queue:
            raise SystemExit(f"all jobs ended after {len(done)} interruptions; take a larger kimg than they had")
        running = [index for index, (_, state) in queue.items() if state == "RUNNING"]
        ready = [index for index in running if _moved(runs[index])]
        if not ready:
            continue
        before = _interruptions(runs)
        kind, index = rng.choice(KINDS if ready == running else KINDS[:2]), rng.choice(ready)
        setup.interrupt(kind, queue[index][0])
        end = time.monotonic() + 60
        while _interruptions(runs) == before and time.monotonic() < end:
            time.sleep(0.2)
        if new := _interruptions(runs) - before:  # a job of higher priority may throw out two; one may have just ended
            done += [kind] * new
            print(f"{len(done)} of {count}: {kind}, job {index}", flush=True)
    return done


def _moved(run: Path) -> bool:
    """Whether a run has trained since it was started: three starts in vain are the run's own fault, and its end."""
    attempts, table = read_attempts(run), run / "metrics.csv"
    if not attempts or attempts[-1].ended or not table.is_file():
        return False
    return max((int(row["images"]) for row in read_rows(table)), default=0) > attempts[-1].images


def _interruptions(runs: dict[int, Path]) -> int:
    """How many attempts of all runs ended before their run was done."""
    return sum(attempt.state not in ("", "finished") for run in runs.values() for attempt in read_attempts(run))


def _processes(setup: Soak) -> list[str]:
    """Processes of jobs of this cluster that are still there five seconds after the last job."""
    time.sleep(5)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            names = entry.joinpath("environ").read_bytes().decode(errors="replace").split("\0")
            command = entry.joinpath("cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        ours = f"SLURM_CONF={setup.slurm}/slurm.conf" in names
        if ours and any(name.startswith("SLURM_JOB_ID=") for name in names):
            found.append(f"{entry.name} {command}")
    return found


def _table(plain: dict[int, Path], soaked: dict[int, Path], done: list[str], left: list[str]) -> bool:
    """Print what became of every job; whether all is well."""
    rows = []
    for index, run in sorted(soaked.items()):
        names = {path.stem.removeprefix("run-") for path in run.rglob("run-*.wandb")}
        attempts = read_attempts(run)
        rows.append({
            "job": index, "attempts": len(attempts), "end": attempts[-1].state if attempts else "never started",
            "weights": _equal(run, plain[index], "weights.safetensors"),
            "rows": _equal(run, plain[index], "metrics.csv"), "wandb": len(names),
        })  # fmt: skip
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    well = not left and len(soaked) == len(plain) and all(
        (row["end"], row["weights"], row["rows"], row["wandb"]) == ("finished", "equal", "equal", 1) for row in rows)
    kinds = ", ".join(f"{count} by {kind}" for kind, count in Counter(done).items())
    print(f"{len(rows)} jobs, {len(done)} interruptions ({kinds}), {len(left)} processes left: "
          f"{'all is well' if well else 'NOT WELL'}")
    with atomic_write(next(iter(plain.values())).parents[4] / "soak.json", "w") as file:
        json.dump({"jobs": rows, "interruptions": done, "processes_left": left, "well": well}, file, indent=1)
    return well


def _equal(run: Path, plain: Path, name: str) -> str:
    """Whether a file of both is the same, to the byte."""
    if not (run / name).is_file():
        return "none"
    return "equal" if (run / name).read_bytes() == (plain / name).read_bytes() else "differs"


def main() -> int:
    options: dict[str, str] = dict(text.split("=", 1) for text in sys.argv[1:] if "=" in text)
    if set(options) - set(OPTIONS) or len(options) < len(sys.argv) - 1:
        raise SystemExit(__doc__)
    chosen = {name: type(default)(options.get(name, default)) for name, default in OPTIONS.items()}
    folder = Path(chosen.pop("folder")).expanduser().absolute()
    if folder.exists():
        raise SystemExit(f"folder={folder} is there already; name a new one")
    folder.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(143))  # the cluster ends with this program
    return 0 if soak(**chosen, folder=folder) else 1


if __name__ == "__main__":
    sys.exit(main())
