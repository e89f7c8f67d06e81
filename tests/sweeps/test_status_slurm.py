"""States from SLURM's queue, with its answers as version 22.05 prints them, and without any answer."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from anycost.sweeps.status import sweep_status


@pytest.fixture(scope="module")
def folders(load_module: Callable[[Path], ModuleType]) -> Any:
    return load_module(Path(__file__).with_name("folders.py"))


@pytest.fixture
def slurm(folders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return folders.FakeSlurm(tmp_path / "bin", monkeypatch)


@pytest.fixture
def sweep(tmp_path: Path, folders: Any) -> Path:
    """Eight jobs that were submitted as the array 12; the last one starts from the first."""
    folders.write_sweep(tmp_path / "sweep-m1", [*[{}] * 7, {"after": [0]}])
    folders.submit(tmp_path / "sweep-m1", range(8))
    return tmp_path / "sweep-m1"


def states(folder: Path) -> list[str]:
    return [job.state.name for job in sweep_status(folder).jobs]


QUEUE = """\
12_2|PENDING|JobArrayTaskLimit||sweep-m1
12_3|PENDING|BeginTime||sweep-m1
12_7|PENDING|Dependency||sweep-m1
12_5|CANCELLED|None|node7|sweep-m1
12_6|FAILED|NonZeroExitCode|node7|sweep-m1
12_0|RUNNING|None|node[7-8]|sweep-m1
12_1|COMPLETING|None|node9|sweep-m1
"""


def test_the_queue_and_the_files_make_the_states(sweep: Path, folders: Any, slurm: Any) -> None:
    slurm.answer("squeue", QUEUE)
    for index in (0, 1, 3, 4, 5, 6):
        folders.begin(sweep / f"run-{index}", f"12_{index}")
    folders.end(sweep / "run-1", "finished")
    folders.train(sweep / "run-1", 20000, "finished")
    folders.end(sweep / "run-3", "requeued")
    folders.end(sweep / "run-6", "failed", "out of disk")
    assert states(sweep) == ["running", "finished", "queued", "requeued", "died", "stopped", "failed", "waiting"]
    jobs = sweep_status(sweep).jobs
    assert (jobs[0].where, jobs[0].slurm_job) == ("node[7-8]", "12_0")
    assert (jobs[2].state.detail, jobs[7].state.detail) == ("JobArrayTaskLimit", "depends on #0")
    assert jobs[6].error == "out of disk"
    assert len(slurm.calls("squeue")) == 2, "asked once per status"


def test_a_cluster_that_counts_anew_does_not_lend_its_jobs(sweep: Path, slurm: Any) -> None:
    slurm.answer("squeue", "12_2|RUNNING|None|node7|another-sweep\n")
    assert states(sweep)[2] == "stopped"


def test_jobs_that_slurm_has_forgotten_are_known_from_files(sweep: Path, folders: Any, slurm: Any) -> None:
    slurm.answer("squeue", "", folders.INVALID)
    folders.begin(sweep / "run-0", "12_0")
    status = sweep_status(sweep)
    assert [job.state.name for job in status.jobs] == ["died", *["stopped"] * 7]
    assert status.silence == ""
    (sweep / "slurm").mkdir()
    (sweep / "slurm" / "12_0.out").write_text("kimg 3\nsrun: error: node7: task 0: Killed\nsrun: Force Terminated 1\n")
    assert sweep_status(sweep).jobs[0].error == "its last words: srun: error: node7: task 0: Killed"


@pytest.mark.parametrize(("line", "state", "said"), [
    ("slurmstepd-node7: error: *** JOB 12 ON node7 CANCELLED AT 2026-01-01T13:00:00 ***", "stopped", "cancelled"),
    ("slurmstepd: error: *** STEP 12.0 ON node7 CANCELLED AT 2026-01-01T13:00:00 DUE TO TIME LIMIT ***", "died",
     "time limit"),
    ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=12.0. Some of your processes may have been killed by "
     "the cgroup out-of-memory handler.", "died", "out of memory"),
    ("slurmstepd: error: *** STEP 12.0 ON node7 CANCELLED AT 2026-01-01T13:00:00 DUE TO JOB REQUEUE ***\nTerminated",
     "died", "its last words: Terminated"),
    ("a picture CANCELLED AT noon", "died", "its last words: a picture"),
])  # fmt: skip
def test_slurms_own_words_in_the_log_outlive_its_memory(
    sweep: Path, folders: Any, slurm: Any, line: str, state: str, said: str
) -> None:
    folders.begin(sweep / "run-0", "12_0")
    (sweep / "slurm").mkdir()
    (sweep / "slurm" / "12_0.out").write_text(f"kimg 3\n{line}\n")
    job = sweep_status(sweep).jobs[0]
    assert job.state.name == state
    assert said in (job.error or job.state.detail)


@pytest.mark.parametrize(("word", "said"), [
    ("OUT_OF_MEMORY", "out of memory"), ("NODE_FAIL", "node was lost"), ("TIMEOUT", "time limit"),
])  # fmt: skip
def test_accounting_names_the_cause_where_there_is_some(
    sweep: Path, folders: Any, slurm: Any, word: str, said: str
) -> None:
    folders.begin(sweep / "run-3", "12_3")
    slurm.answer("sacct", f"12_3|{word}\n12_4|COMPLETED\n")
    job = sweep_status(sweep).jobs[3]
    assert job.state.name == "died"
    assert said in job.error
    slurm.answer("squeue", f"12_3|{word}|None|node7|sweep-m1\n")
    slurm.answer("sacct", "", folders.NO_ACCOUNTING)
    assert said in sweep_status(sweep).jobs[3].error, "the queue remembers for some minutes"


def test_without_an_answer_files_tell_and_one_line_says_so(sweep: Path, folders: Any, slurm: Any) -> None:
    folders.train(sweep / "run-0", 20000, "finished")
    folders.begin(sweep / "run-1", "12_1")
    folders.end(sweep / "run-1", "failed", "of its own fault")
    slurm.answer("squeue", "", folders.SILENT)
    status = sweep_status(sweep)
    assert [job.state.name for job in status.jobs][:3] == ["finished", "failed", "queued"]
    assert "Unable to contact slurm controller" in status.silence
    assert "\n" not in status.silence


def test_without_squeue_too(sweep: Path, slurm: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    status = sweep_status(sweep)
    assert {job.state.name for job in status.jobs} == {"queued"}
    assert "squeue is not on PATH" in status.silence


def test_jobs_submitted_by_hand_are_found_by_their_attempts(tmp_path: Path, folders: Any, slurm: Any) -> None:
    folders.write_sweep(tmp_path / "sweep", [{}, {}])
    folders.begin(tmp_path / "sweep" / "run-1", "40")
    slurm.answer("squeue", "40|RUNNING|None|node3|my_job\n")
    assert states(tmp_path / "sweep") == ["missing", "running"]
    assert "--jobs=40" in slurm.calls("squeue")[0]


def test_slurm_is_not_asked_where_it_had_no_part(tmp_path: Path, folders: Any, slurm: Any) -> None:
    folders.write_sweep(tmp_path / "sweep", [{}])
    folders.begin(tmp_path / "sweep" / "run-0")
    assert states(tmp_path / "sweep") == ["died"]
    assert not slurm.calls("squeue")
