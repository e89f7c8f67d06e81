"""`anycost sweep`: what status prints, what resubmit hands out and refuses, whom cancel ends, clear messages."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

from anycost.commands import main
from anycost.configuration.composition import compose
from anycost.configuration.convert import load_config, save_config
from anycost.files import lock_owner
from anycost.sweeps.status import sweep_status
from anycost.sweeps.table import print_status


@pytest.fixture(scope="module")
def folders(load_module: Callable[[Path], ModuleType]) -> Any:
    return load_module(Path(__file__).parents[1] / "sweeps" / "folders.py")


@pytest.fixture
def slurm(folders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = folders.FakeSlurm(tmp_path / "bin", monkeypatch)
    found.answer("sbatch", "13\n")
    return found


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The config.yaml of a job."""
    file = tmp_path_factory.mktemp("configuration") / "config.yaml"
    save_config(compose("stage=stylegan2", "data=faces", "stage.kimg=20", "schedule=paper", "trainer=cpu"), file)
    return file.read_text()


@pytest.fixture
def sweep(tmp_path: Path, folders: Any, slurm: Any, configuration: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five jobs on SLURM: finished, failed, running, died; the last one waits for the one that runs."""
    folder = tmp_path / "sweep-m1"
    folders.write_sweep(folder, [*({"overrides": [f"seed={seed}"], "seed": seed} for seed in range(4)), {"after": [2]}])
    folders.submit(folder, range(5))
    slurm.answer("squeue", "12_4|PENDING|Dependency||sweep-m1\n12_2|RUNNING|None|node7|sweep-m1\n")
    for index in range(5):
        (folder / f"run-{index}").mkdir()
        (folder / f"run-{index}" / "config.yaml").write_text(configuration)
    for index in range(4):
        folders.record(folder / f"run-{index}", 4000 + index, "running")
        folders.begin(folder / f"run-{index}", f"12_{index}")
    folders.record(folder / "run-0", 20000, "finished")
    (folder / "run-0" / "weights.safetensors").touch()
    folders.end(folder / "run-0", "finished")
    folders.end(folder / "run-1", "failed", "loss/d is not finite")
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_pipe_gets_aligned_lines_a_summary_and_what_to_do(sweep: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["sweep", "status", "sweep-m1"]) == 0
    head, *rows, summary, further = capsys.readouterr().out.splitlines()
    assert head.split() == ["#", "job", "seed", "state", "kimg", "where", "error"]
    assert len(rows) == 5
    column = head.index("state")
    states = ["finished", "failed", "running", "died", "waiting (depends on #2)"]
    assert [row[column : column + 23].strip() for row in rows] == states
    assert rows[1].endswith("loss/d is not finite")
    assert "4.0 / 20" in rows[1]
    assert "node7 12_2" in rows[2]
    assert summary == "1 finished, 1 running, 1 waiting, 1 failed, 1 died"
    assert further == "next: anycost sweep resubmit sweep-m1 continues 1,3"


def test_programs_get_json(sweep: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["sweep", "status", "sweep-m1", "format=json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["counts"] == {"finished": 1, "running": 1, "waiting": 1, "failed": 1, "died": 1}
    failed = answer["jobs"][1]
    assert (failed["state"], failed["kimg"], failed["total_kimg"], failed["seed"]) == ("failed", 4.001, 20, 1)
    assert (failed["slurm_job"], failed["error"], failed["best"]) == ("12_1", "loss/d is not finite", None)


def test_a_terminal_gets_a_table_that_fits(sweep: Path, folders: Any, capsys: pytest.CaptureFixture) -> None:
    folders.end(sweep / "run-1", "failed", "a long story " * 30)
    (sweep / "run-1" / "wandb.json").write_text(json.dumps({"url": "https://wandb.example.org/lab/p/runs/r1"}))
    (sweep / "run-2" / "wandb.json").write_text(json.dumps({"url": None}))
    console = Console(force_terminal=True, width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_status(sweep_status(sweep), console)
    page = console.export_text()
    assert max(map(len, page.splitlines())) <= 100
    assert page.count("long") == 30
    assert "5 jobs" not in page
    assert f"W&B offline: wandb sync {sweep}/run-2/wandb/offline-run-*" in capsys.readouterr().out


def test_a_finished_sweep_is_to_be_reported(tmp_path: Path, folders: Any, capsys: pytest.CaptureFixture) -> None:
    folders.write_sweep(tmp_path / "my sweep", [{}])
    folders.train(tmp_path / "my sweep" / "run-0", 20000, "finished")
    command = ["sweep", "status", str(tmp_path / "my sweep"), "watch=1"]
    assert main(command) == 0, "nothing to watch"
    assert capsys.readouterr().out.splitlines()[-1] == "1 finished", "nothing to report either"
    folders.append(tmp_path / "my sweep" / "run-0" / "metrics.jsonl",
                   {"images": 20000, "metric": "frechet", "label": "full", "value": 2.0})  # fmt: skip
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["1 finished", f"next: anycost report '{tmp_path}/my sweep'"]


def test_watching_goes_on_until_nothing_is_left(
    sweep: Path, slurm: Any, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        slurm.answer("squeue", "", "slurm_load_jobs error: Invalid job id specified")

    monkeypatch.setattr(time, "sleep", sleep)
    assert main(["sweep", "status", str(sweep), "format=json", "watch=5"]) == 0
    first, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [seconds for seconds in looks if seconds >= 1] == [5]
    assert first["counts"]["running"] == 1
    assert last["counts"] == {"finished": 1, "stopped": 1, "failed": 1, "died": 2}


def scripts(sweep: Path) -> list[str]:
    return [path.read_text() for path in sorted((sweep / "slurm").glob("*.sh"))]


def test_resubmit_hands_out_what_ended_badly_and_nothing_else(
    sweep: Path, slurm: Any, capsys: pytest.CaptureFixture
) -> None:
    assert main(["sweep", "resubmit", "sweep-m1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "#1 run-1: failed, starts from the beginning (slurm); loss/d is not finite"
    assert out[1].startswith("#3 run-3: died, ")
    (script,) = scripts(sweep)
    assert "--array=1,3\n" in script
    last = json.loads((sweep / "submissions.jsonl").read_text().splitlines()[-1])
    assert (last["id"], last["indices"]) == ("13", [1, 3])
    slurm.answer("squeue", "".join(f"{id_}|PENDING|Priority||sweep-m1\n" for id_ in ("13_1", "13_3", "12_2", "12_4")))
    assert main(["sweep", "resubmit", "sweep-m1"]) == 0
    assert capsys.readouterr().out == "nothing to resubmit: 1 finished, 1 requeued, 3 queued\n"
    assert len(scripts(sweep)) == 1


def test_a_dry_run_changes_nothing(sweep: Path, slurm: Any, capsys: pytest.CaptureFixture) -> None:
    before = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    assert main(["sweep", "resubmit", "sweep-m1", "dry_run=true", "cluster.minutes=600"]) == 0
    assert "#1 run-1: failed" in capsys.readouterr().out
    assert not slurm.calls("sbatch")
    assert before == {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}


def test_other_settings_reach_the_job_and_the_record(sweep: Path) -> None:
    assert main(["sweep", "resubmit", "sweep-m1", "jobs=1", "cluster.minutes=600", "cluster.mem_gb=64"]) == 0
    cluster = load_config(sweep / "run-1" / "config.yaml").cluster
    assert (cluster.minutes, cluster.mem_gb) == (600, 64)
    assert load_config(sweep / "run-3" / "config.yaml").cluster.minutes is None
    overrides = [job["overrides"] for job in json.loads((sweep / "sweep.json").read_text())["jobs"]]
    assert overrides[1] == ["seed=1", "cluster.minutes=600", "cluster.mem_gb=64"]
    assert overrides[3] == ["seed=3"]
    (script,) = scripts(sweep)
    assert "--array=1\n" in script
    assert "--time=600\n" in script
    assert "--mem=64G\n" in script


@pytest.mark.parametrize(("arguments", "said"), [
    (["jobs=0"], "#0 is finished"),
    (["jobs=1-4"], "#2 is running"),
    (["jobs=9"], "has no job 9"),
    (["jobs=1-x"], "is not an index"),
    (["jobs=3-1"], "it ends before it begins"),
    (["seed=3"], "seed= is not an option"),
    (["model.multiplier=2"], "model.multiplier decides what is computed"),
    (["cluster.minute=5"], "cluster.minute"),
    (["cluster.minutes=soon"], "cluster.minutes=soon"),
    (["cluster.minutes=1"], "too short"),
    (["cluster.minutes=9", "cluster.minutes=8"], "use one of them"),
    (["launcher=cloud"], "slurm, local"),
])  # fmt: skip
def test_resubmit_refuses_with_nothing_done(
    sweep: Path, slurm: Any, capsys: pytest.CaptureFixture, arguments: list[str], said: str
) -> None:
    before = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    assert main(["sweep", "resubmit", "sweep-m1", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    assert not slurm.calls("sbatch")


def test_what_sbatch_refuses_does_not_stay_in_the_files(
    sweep: Path, slurm: Any, capsys: pytest.CaptureFixture
) -> None:
    before = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    slurm.answer("sbatch", "", "invalid partition specified: typo")
    assert main(["sweep", "resubmit", "sweep-m1", "cluster.partition=typo"]) == 2
    assert "invalid partition specified: typo" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}


def test_a_sweep_that_was_only_prepared_needs_to_be_told_where(
    sweep: Path, slurm: Any, capsys: pytest.CaptureFixture
) -> None:
    (sweep / "submissions.jsonl").unlink()
    slurm.answer("squeue", "")
    assert main(["sweep", "resubmit", "sweep-m1"]) == 2
    assert "launcher=slurm or launcher=local" in capsys.readouterr().err
    assert main(["sweep", "resubmit", "sweep-m1", "launcher=slurm"]) == 0
    entries = map(json.loads, (sweep / "submissions.jsonl").read_text().splitlines())
    assert [entry["indices"] for entry in entries] == [[1, 2, 3], [4]], "the last one starts from the third"
    assert "--dependency=afterok:13_2\n" in scripts(sweep)[-1]


@pytest.mark.parametrize("verb", ["resubmit", "cancel"])
def test_nothing_is_done_while_slurm_is_silent(
    sweep: Path, folders: Any, slurm: Any, capsys: pytest.CaptureFixture, verb: str
) -> None:
    slurm.answer("squeue", "", folders.SILENT)
    assert main(["sweep", verb, "sweep-m1"]) == 2
    assert "Unable to contact slurm controller" in capsys.readouterr().err
    assert not slurm.calls("sbatch")
    assert not slurm.calls("scancel")


def test_failed_leaves_out_what_was_stopped(sweep: Path, slurm: Any, capsys: pytest.CaptureFixture) -> None:
    slurm.answer("squeue", "12_2|CANCELLED|None|node7|sweep-m1\n")
    assert main(["sweep", "resubmit", "sweep-m1", "failed=true", "dry_run=true"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["#1", "#3"]
    assert main(["sweep", "resubmit", "sweep-m1", "dry_run=true"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["#1", "#2", "#3", "#4"]


def test_cancel_ends_what_runs_and_waits(sweep: Path, slurm: Any, capsys: pytest.CaptureFixture) -> None:
    assert main(["sweep", "cancel", "sweep-m1", "jobs=0-3"]) == 0
    assert slurm.calls("scancel") == ["scancel 12_2"]
    assert main(["sweep", "cancel", "sweep-m1"]) == 0
    assert slurm.calls("scancel")[1] == "scancel 12_2 12_4"
    assert "#4: cancelled 12_4" in capsys.readouterr().out


def test_cancel_leaves_other_sweeps_alone(sweep: Path, slurm: Any, capsys: pytest.CaptureFixture) -> None:
    slurm.answer("squeue", "12_2|RUNNING|None|node7|another\n")
    assert main(["sweep", "cancel", "sweep-m1"]) == 0
    assert capsys.readouterr().out == "nothing runs or waits\n"
    assert not slurm.calls("scancel")


def gone(folder: Path, pid: int) -> bool:
    """Whether the process `pid` gives `folder` back before long."""
    end = time.monotonic() + 100
    while lock_owner(folder) == pid and time.monotonic() < end:
        time.sleep(0.01)
    return lock_owner(folder) is None


def test_cancel_tells_a_local_process_and_only_the_one_that_trains_there(
    tmp_path: Path, folders: Any, capsys: pytest.CaptureFixture
) -> None:
    sweep, here = folders.write_sweep(tmp_path / "sweep", [{}, {}, {}]), socket.gethostname()
    with folders.locked(sweep / "run-0") as own, folders.locked(sweep / "run-1") as other:
        folders.begin(sweep / "run-0", pid=own, host=here)
        folders.begin(sweep / "run-1", pid=other, host="elsewhere")
        folders.begin(sweep / "run-2", pid=other, host=here)  # a number that belongs to somebody else now
        assert main(["sweep", "cancel", str(sweep)]) == 0
        assert gone(sweep / "run-0", own)
        time.sleep(0.2)
        assert lock_owner(sweep / "run-1") == other
    out = capsys.readouterr().out.splitlines()
    assert out == [f"#0: process {own} saves and ends", "#1: runs on elsewhere; run the same command there"]


def test_cancel_ends_a_local_launcher_once(tmp_path: Path, folders: Any, capsys: pytest.CaptureFixture) -> None:
    sweep, here = folders.write_sweep(tmp_path / "sweep", [{}, {}]), socket.gethostname()
    with folders.locked(sweep) as pool, folders.locked(sweep / "run-0") as job:
        folders.submit(sweep, [0, 1], str(pool), "local", here)
        folders.begin(sweep / "run-0", pid=job, host=here)
        assert main(["sweep", "cancel", str(sweep), "jobs=1"]) == 0
        assert "with its whole launcher only" in capsys.readouterr().out
        assert main(["sweep", "cancel", str(sweep)]) == 0
        assert gone(sweep, pool)
        time.sleep(0.2)
        assert lock_owner(sweep / "run-0") == job, "the launcher tells its jobs: a second signal would end them unsaved"
    assert capsys.readouterr().out == f"the local launcher (process {pool}) ends, with its jobs 0-1\n"


@pytest.mark.parametrize(("arguments", "said"), [
    (["stauts", "x"], "did you mean status?"),
    (["report", "x"], "takes status, resubmit or cancel"),
    (["status"], "needs the folder of a sweep: logs/train/multiruns/NAME (there are none"),
    (["status", "format=json"], "needs the folder of a sweep"),
    (["status", "sweep-m1", "format=xml"], "format=xml"),
    (["status", "sweep-m1", "watch=soon"], "watch=soon is not a number"),
    (["status", "nowhere"], "nowhere is not a folder"),
    (["cancel", "plain"], "has no sweep.json"),
    (["resubmit", "plain"], "has no sweep.json"),
])  # fmt: skip
def test_wrong_calls_are_explained(
    sweep: Path, folders: Any, capsys: pytest.CaptureFixture, arguments: list[str], said: str
) -> None:
    folders.train(sweep.parent / "plain" / "run", 4)
    assert main(["sweep", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_newest_sweeps_are_offered(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs" / "train" / "multiruns" / "table2-m1").mkdir(parents=True)
    assert main(["sweep", "status"]) == 2
    assert "logs/train/multiruns/table2-m1" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--help"], ["status", "--help"], ["resubmit", "x", "-h"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(["sweep", *arguments]) == 0
    assert "anycost sweep status" in capsys.readouterr().out
