"""A multirun is checked as a whole, recorded, and handed to SLURM once; sbatch and its like are stand-ins here."""

import logging
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from anycost.commands import main
from anycost.configuration.convert import load_config
from anycost.runs import RunDir, RunRecord
from anycost.sweeps.record import Sweep, read_submissions, read_sweep, write_sweep
from anycost.sweeps.status import sweep_status

TINY = ["data=faces", "data.resolution=16", "data.batch_size=16", "model.channel_cap=8", "trainer=cpu",
        "schedule=paper", "features=embedded", "metrics=none", "callbacks=none", "cluster.detach=true"]
STANDINS = {
    # Numbers arrays from 100 on, keeps their scripts, refuses the partition `nope`.
    "sbatch": """
        script=$(cat); env > "$LAB/environment"
        case $script in *--partition=nope*) echo "invalid partition specified: nope" >&2; exit 1;; esac
        case $script in *--array=1001*) echo "allocation failure: Invalid job array specification" >&2; exit 1;; esac
        case "$1 $script" in *--test-only*--partition=away*|*--test-only*--partition=small*)
            echo "allocation failure: Requested node configuration is not available" >&2; exit 1;; esac
        [ "$1" = --test-only ] && exit 0
        id=$((100 + $(ls "$LAB" | grep -c 'script$'))); echo "$script" > "$LAB/$id.script"; echo "$id" """,
    "sinfo": 'case "$*" in *--partition=away*) echo "n[1-2]";; esac',
    # All that was submitted runs, unless $LAB/empty exists; $LAB/unrecorded is what a search by name finds.
    "squeue": """
        case "$*" in *--name=sweep*) cat "$LAB/unrecorded" 2>/dev/null; exit 0;; esac
        [ -e "$LAB/empty" ] && { echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }
        for script in "$LAB"/*.script; do id=$(basename "$script" .script)
        for index in 0 1 2 3 4 5; do echo "${id}_$index|RUNNING|None|n1|${NAME:-sweep}"; done; done""",
    "scontrol": "echo PartitionName=debug",
}


class Lab:
    """Stand-ins for SLURM's commands, and what they were given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def scripts(self) -> list[str]:
        return [path.read_text() for path in sorted(self.folder.glob("*.script"))]

    def forget(self) -> None:
        (self.folder / "empty").touch()

    @property
    def environment(self) -> list[str]:
        return (self.folder / "environment").read_text().splitlines()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    folder = tmp_path / "lab"
    folder.mkdir()
    for name, text in STANDINS.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("LAB", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    yield Lab(folder)
    root.handlers[:], root.level = handlers, level


def launched(*arguments: str, launcher: str = "slurm") -> int:
    return main(["train", "-m", *TINY, f"hydra/launcher={launcher}", "run=sweep", *arguments])


def swept() -> Sweep:
    return read_sweep("logs/train/multiruns/sweep")


def finish(sweep: Sweep, index: int) -> None:
    """Let a job be finished, as far as its folder says."""
    run = RunDir(sweep.run_dir(sweep.job(index)))
    run.write_record(RunRecord("stylegan2", "faces", "finished", 10**9, 1))
    run.weights.touch()


def option(script: str, name: str) -> str | None:
    found = re.search(rf"^#SBATCH --{name}=(.*)$", script, re.MULTILINE)
    return found[1] if found else None


def test_every_job_is_ready_when_it_is_submitted(lab: Lab) -> None:
    assert launched("stage=stylegan2", "seed=3,4", "cluster.cpus_per_task=2") == 0
    (script,) = lab.scripts
    sweep = swept()
    assert [job.seed for job in sweep.jobs] == [3, 4]
    for job in sweep.jobs:
        config = load_config(sweep.run_dir(job) / "config.yaml")
        assert (config.seed, config.trainer.threads) == (job.seed, 2)
    assert (option(script, "array"), option(script, "cpus-per-task")) == ("0-1", "2")
    assert (option(script, "signal"), option(script, "open-mode")) == ("USR1@120", "append")
    assert "#SBATCH --requeue\n" in script
    (submission,) = read_submissions(sweep.folder)
    assert (submission.executor, submission.id, submission.indices) == ("slurm", "100", [0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.batch_size=16,18", "seed=0,1"], r"2 of 4 jobs .* nothing was submitted:\n  #2 data.batch_size=18 "
         r"seed=0: data.batch_size=18 cannot(.|\n)*#3 data.batch_size=18 seed=1"),
        (["trainer.devices=8"], "data.batch_size=16 cannot be split into 8 processes"),
        (["trainer=auto", "trainer.devices=4", "cluster.gpus_per_node=2"], "devices=4 is more than .*=2 GPUs"),
        (["trainer=gpu"], "cluster.gpus_per_node=0: jobs would get no GPU"),
        (["trainer=ddp", "trainer.devices=2"], "accelerator=auto, but cluster.gpus_per_node=0: jobs would get no GPU"),
        (["stage=stylegan2,multires", "trainer.max_minutes=1"],
         "max_minutes=1 may end stylegan2-faces-r.* before it is finished, and other jobs start from it"),
        (["cluster.partition=small"], r"Requested node configuration is not available\nthis is what job 0 asked for: "
         r"trainer.num_nodes=1 trainer.devices=1 cluster.cpus_per_task=1 cluster.partition=small"),
        (["cluster.minutes=4"], "cluster.minutes=4 is too short .* take at least cluster.minutes=5"),
        (["resume=never"], "resume=never would start a job anew"),
        (["seed=0,0"], "the jobs #0 and #1 are the same run, stylegan2-faces-r"),
        (["init_from=row:base"], "init_from=row:base: the sweep has no such row with seed=0"),
        (["table.row=base", "init_from=none,row:base", "model.latent_dim=16,32"],
         "init_from=row:base: 4 runs of the sweep are this row with seed=0, so it does not say which"),
        (["cluster.partition=nope"], "sbatch failed: invalid partition specified: nope"),
        (["seed=0,1", "cluster.partition=null,nope"], "invalid partition specified: nope"),
        (["cluster.sbatch=['--nodes=2']"], "cluster.sbatch: --nodes=2 is what the launcher sets; use trainer.devices"),
        (["cluster.sbatch=['-J x']"], "cluster.sbatch: -J x cannot be changed"),
        (["paths.logs=a,b"], "do not vary paths.logs"),
    ],
)  # fmt: skip
def test_nothing_is_submitted_where_anything_is_wrong(
    lab: Lab, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    assert launched("stage=stylegan2", *arguments) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert "Traceback" not in error
    assert not lab.scripts
    assert not list(Path("logs").rglob("multirun.yaml"))


def test_missing_slurm_is_said(lab: Lab, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", "/absent/slurm.conf")
    assert launched("stage=stylegan2") == 2
    assert "SLURM_CONF=/absent/slurm.conf cannot be read" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/absent")
    assert launched("stage=stylegan2") == 2
    assert "needs sbatch, which is not on PATH" in capsys.readouterr().err
    assert not Path("logs").exists() or not list(Path("logs").rglob("sweep.json"))


def test_absent_data_are_a_warning(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    """The login node may not see them; two seeds are one warning."""
    assert launched("stage=stylegan2", "data=zip", "data.name=own", "data.path=far.zip", "seed=0,1") == 0
    printed = capsys.readouterr().out
    assert printed.count("this machine does not see the data: data.path=far.zip does not exist") == 1
    assert "unless their nodes see them" in printed
    assert len(lab.scripts) == 1


def test_absent_data_are_an_error_on_this_machine(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    local = ["-m", *TINY, "stage=stylegan2", "hydra/launcher=local", "data=zip", "data.name=own", "data.path=far.zip"]
    assert main(["train", *local]) == 2
    error = capsys.readouterr().err
    assert "1 of 1 jobs cannot be started, nothing was submitted" in error
    assert "data.path=far.zip does not exist" in error


def test_single_run_needs_m(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", *TINY, "hydra/launcher=slurm"]) == 2
    assert "add -m, also for a single run" in capsys.readouterr().err


def test_same_command_hands_out_what_is_neither_finished_nor_in_the_queue(lab: Lab) -> None:
    command = ["stage=stylegan2", "seed=0,1,2"]
    assert launched(*command) == 0
    assert launched(*command) == 0
    assert len(lab.scripts) == 1, "all are in the queue"
    lab.forget()
    finish(swept(), 1)
    assert launched(*command) == 0
    assert [option(script, "array") for script in lab.scripts] == ["0-2", "0,2"]


def test_a_finished_sweep_is_said_to_be_so(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    assert launched("stage=stylegan2", "cluster.prepare_only=true") == 0
    finish(swept(), 0)
    capsys.readouterr()
    assert launched("stage=stylegan2") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "logs/train/multiruns/sweep is finished"
    assert not lab.scripts


def test_jobs_of_others_with_the_same_number_are_not_ours(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that was set up anew, or another one, counts its jobs from one again."""
    assert launched("stage=stylegan2") == 0
    monkeypatch.setenv("NAME", "other")
    assert launched("stage=stylegan2") == 0
    assert len(lab.scripts) == 2


def test_array_that_no_cluster_takes_is_refused_before_any_is_submitted(
    lab: Lab, capsys: pytest.CaptureFixture
) -> None:
    command = ["stage=stylegan2", "trainer.devices=1,2"]
    assert launched(*command, "cluster.prepare_only=true") == 0
    sweep = swept()
    write_sweep(replace(sweep, jobs=[sweep.jobs[0], replace(sweep.jobs[1], index=1001)]))
    assert launched(*command) == 2
    assert "split the sweep" in capsys.readouterr().err
    assert not lab.scripts


def test_jobs_keep_their_indices_when_a_sweep_grows(lab: Lab) -> None:
    """The queue knows them by these."""
    assert launched("stage=stylegan2", "seed=5,6") == 0
    folders = {job.index: job.folder for job in swept().jobs}
    created = swept().created
    assert launched("stage=stylegan2", "seed=7,6") == 0
    grown = swept()
    assert {job.index: job.folder for job in grown.jobs[:2]} == folders
    assert ([job.seed for job in grown.jobs], grown.created) == ([5, 6, 7], created)
    assert [option(script, "array") for script in lab.scripts] == ["0-1", "2"]


def test_jobs_wait_for_what_they_start_from(lab: Lab) -> None:
    """One array per set of jobs waited for; the same seed only."""
    lengths = ["schedule.stylegan2=1", "schedule.multires=1", "schedule.ada_ch=1"]
    assert launched("stage=ada_ch,stylegan2,multires", "seed=0,1", *lengths) == 0
    after = {index: (option(script, "array"), option(script, "dependency")) for index, script in
             enumerate(lab.scripts, 100)}
    assert after == {
        100: ("2-3", None),
        101: ("4", "afterok:100_2"), 102: ("5", "afterok:100_3"),
        103: ("0", "afterok:101_4"), 104: ("1", "afterok:102_5"),
    }
    assert all("--kill-on-invalid-dep=yes" in script for script in lab.scripts[1:])
    lab.forget()
    finish(swept(), 2)
    finish(swept(), 3)
    finish(swept(), 4)
    assert launched("stage=ada_ch,stylegan2,multires", "seed=0,1", *lengths) == 0
    assert [(option(script, "array"), option(script, "dependency")) for script in lab.scripts[5:]] == [
        ("0,5", None), ("1", "afterok:105_5")
    ]  # fmt: skip


def test_jobs_of_other_resources_are_other_arrays(lab: Lab) -> None:
    assert launched("stage=stylegan2", "trainer.devices=1,2", "seed=0,1") == 0
    asked = [(option(script, "array"), option(script, "ntasks-per-node")) for script in lab.scripts]
    assert asked == [("0-1", "1"), ("2-3", "2")]


def test_profile_is_the_number_of_devices_and_nodes(lab: Lab) -> None:
    gpus = ["trainer=auto", "cluster.gpus_per_node=8", "cluster.gpu_type=a100", "data.batch_size=64"]
    assert launched("stage=stylegan2", *gpus, launcher="slurm_2x8gpu") == 0
    assert launched("stage=stylegan2", *gpus, "seed=1", "trainer.devices=4", launcher="slurm_2x8gpu") == 0
    asked = [tuple(option(script, name) for name in ("nodes", "ntasks-per-node", "gpus-per-node"))
             for script in lab.scripts]
    assert asked == [("2", "8", "a100:8"), ("2", "4", "a100:4")]
    configs = [load_config(file) for file in Path("logs").rglob("config.yaml")]
    assert {config.trainer.accelerator for config in configs} == {"gpu"}, "a job never trains on CPUs instead"


def test_prepared_sweep_is_left_to_people(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    """Its lines, in a shell, submit every array in its order; the same command then knows that they are in the queue.

    (It looks for them by name, user and folder: this is how a submission is found that no record tells of.)
    """
    command = ["stage=multires,stylegan2", "seed=0,1", "cluster.cpus_per_task=2"]
    assert launched(*command, "cluster.prepare_only=true") == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if "sbatch" in line]
    assert not lab.scripts
    assert len(list(Path("logs").rglob("config.yaml"))) == 4
    assert [line.partition("=")[0] for line in lines] == ["a0", "a1", "a2"]
    log = lab.folder / "log"
    (lab.folder / "sbatch").write_text(f'#!/bin/sh\necho "$*" >> {log}; echo $((300 + $(wc -l < {log})))\n')
    subprocess.run(["bash", "-ec", "\n".join(lines)], check=True)
    folder = "logs/train/multiruns/sweep/slurm"
    waits = "--parsable --dependency=afterok:301_{} --kill-on-invalid-dep=yes " + folder + "/prepared_{}.sh"
    assert log.read_text().splitlines() == [
        f"--parsable {folder}/prepared_0.sh", waits.format(2, 1), waits.format(3, 2)
    ]  # fmt: skip
    script = Path(f"{folder}/prepared_0.sh").read_text()
    assert (option(script, "array"), option(script, "cpus-per-task")) == ("2-3", "2")
    rows = [f"301_2|RUNNING|{Path.cwd()}", f"301_3|PENDING|{Path.cwd()}", f"302_0|PENDING|{Path.cwd()}",
            "900_1|RUNNING|/elsewhere", f"901_1|COMPLETED|{Path.cwd()}"]  # fmt: skip
    (lab.folder / "unrecorded").write_text("\n".join(rows) + "\n")
    for array in (301, 302):
        (lab.folder / f"{array}.script").write_text("")
    assert [job.state.name for job in sweep_status(swept().folder).jobs] == ["running", "missing", "running", "running"]
    assert launched(*command, "cluster.prepare_only=true") == 0
    assert "4 jobs, 0 finished, 3 in the queue, 1 to hand out" in capsys.readouterr().out
    assert [(entry.id, entry.indices) for entry in read_submissions(swept().folder)] == [("301", [2, 3]), ("302", [0])]


def test_nodes_that_are_away_are_waited_for(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    """sbatch's own test says the same of them as of nodes that do not exist."""
    assert launched("stage=stylegan2", "cluster.partition=away") == 0
    assert capsys.readouterr().out.count("n[1-2] are down or drained, so it is submitted") == 1
    assert len(lab.scripts) == 1


def test_ctrl_c_before_the_submission_prevents_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anycost.sweeps.slurm.test", lambda script: os.kill(os.getpid(), signal.SIGINT))
    assert launched("stage=stylegan2") == 130
    assert not lab.scripts


def test_a_finished_local_sweep_is_no_work(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    assert launched("stage=stylegan2", "seed=0,1", "cluster.prepare_only=true", launcher="local") == 0
    assert "anycost sweep resubmit logs/train/multiruns/sweep launcher=local" in capsys.readouterr().out
    for index in (0, 1):
        finish(swept(), index)
    assert launched("stage=stylegan2", "seed=0,1", "cluster.detach=false", launcher="local") == 0
    assert "2 jobs, 2 finished, 0 in the queue, 0 to hand out" in capsys.readouterr().out
    assert not read_submissions(swept().folder)


def test_job_in_an_image_without_slurm_is_queued_again_by_its_script(lab: Lab) -> None:
    """At the status of a task that was told to save (128 + USR1), and at no other; not where it was cancelled."""
    assert launched("stage=stylegan2", "cluster.container=[env]", "cluster.python=python") == 0
    (script,) = lab.scripts
    (lab.folder / "scontrol").write_text('#!/bin/sh\n[ $1 = -o ] && echo "JobState=$STATE Reason=None" || echo "$*"\n')
    (lab.folder / "srun").write_text('#!/bin/sh\nexit $((ANYCOST_REQUEUE_STATUS + MORE))\n')
    (lab.folder / "srun").chmod(0o755)
    ends = ((0, "RUNNING", "requeue 9_4\n"), (0, "CANCELLED", ""), (-138, "RUNNING", ""), (5, "RUNNING", ""))
    for more, state, said in ends:
        task = {**os.environ, "SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "4", "MORE": str(more), "STATE": state}
        done = subprocess.run(["bash", "-c", script], env=task, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (138 + more, said)


def test_a_locked_sweep_is_left_alone(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    """A command of the same second: locks of one process do not bind itself, so that another one holds it."""
    folder = Path("logs/train/multiruns/sweep")
    hold = "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.lockf(f,fcntl.LOCK_EX); print('held',flush=True); input()"
    folder.mkdir(parents=True)
    python = shutil.which("python3", path="/usr/bin:/bin:" + os.path.dirname(os.path.realpath("/proc/self/exe")))
    assert python
    with subprocess.Popen([python, "-c", hold, folder / ".lock"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:  # fmt: skip
        assert other.stdout
        other.stdout.readline()
        assert launched("stage=stylegan2") == 2
        other.communicate(b"\n")
    assert "another command hands out jobs of" in capsys.readouterr().err
    assert not lab.scripts


def test_environment_of_a_job_is_not_that_of_the_shell_s_own(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that would beat the script, and those of an allocation that the command runs in."""
    beaten = {"SBATCH_PARTITION", "SBATCH_ARRAY_INX", "SBATCH_TIMELIMIT", "SBATCH_MEM_PER_NODE", "SBATCH_NO_REQUEUE",
              "SLURM_MEM_PER_CPU", "SLURM_JOB_ID"}  # fmt: skip
    for name in (*beaten, "SBATCH_QOS"):
        monkeypatch.setenv(name, "7")
    assert launched("stage=stylegan2", "cluster.partition=debug", "cluster.minutes=9", "cluster.mem_gb=1") == 0
    given = {line.partition("=")[0] for line in lab.environment}
    assert given & beaten == set()
    assert {"SBATCH_QOS", "LAB"} <= given


def test_task_line_reaches_python_as_it_is(lab: Lab, tmp_path: Path) -> None:
    """Folders with spaces, lines of setup, words of a container, USR1 ignored while Python starts."""
    logs = tmp_path / "work" / "my logs #100%"
    assert launched("stage=stylegan2", f"paths.logs={logs}", "cluster.python=python",
                    "cluster.container=[env,'IMAGE=x']", "cluster.setup=['export MODULE=cuda']",
                    "cluster.srun=['--mpi=none']") == 0  # fmt: skip
    (script,) = lab.scripts
    assert option(script, "output") == f'"{logs}/train/multiruns/sweep/slurm/%A_%a.out"'.replace("100%", "100%%")
    (lab.folder / "srun").write_text('#!/bin/sh\necho "$1 $2 $3"; shift 3; exec "$@"\n')
    (lab.folder / "python").write_text('#!/bin/sh\nkill -USR1 $$; echo "$MODULE $IMAGE"; for a; do echo "<$a>"; done')
    for name in ("srun", "python"):
        (lab.folder / name).chmod(0o755)
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "4"}
    said = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [
        "--kill-on-bad-exit=1 --cpus-per-task=1 --mpi=none", "cuda x", "<-m>", "<anycost.commands.train>", "<--job>",
        f"<{logs}/train/multiruns/sweep>", "<4>",
    ]  # fmt: skip
