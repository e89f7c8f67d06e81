"""What `sweep_status` reads in a sweep's folder: progress, best metric, attempts, locks; damaged files; its speed."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from anycost.errors import UserError
from anycost.sweeps.status import JobStatus, sweep_status


@pytest.fixture(scope="module")
def folders(load_module: Callable[[Path], ModuleType]) -> Any:
    return load_module(Path(__file__).with_name("folders.py"))


def only(folder: Path) -> JobStatus:
    (job,) = sweep_status(folder).jobs
    return job


@pytest.fixture
def sweep(tmp_path: Path, folders: Any) -> Path:
    """A sweep of one job, run-0, which is at 4 of 20 thousand images by its last checkpoint."""
    folders.write_sweep(tmp_path / "sweep", [{}])
    folders.train(tmp_path / "sweep" / "run-0", 4000)
    return tmp_path / "sweep"


def test_the_images_are_those_of_now_and_not_of_the_last_checkpoint(sweep: Path) -> None:
    table = sweep / "run-0" / "metrics.csv"
    table.write_text("images,kimg,loss/d\n4000,4.0,1.0\n")
    assert only(sweep).progress.images == 4000
    table.write_text("images,kimg,loss/d\n" + "4000,4.0,1.25\n" * 3000 + "5504,5.504,1.0\n5600,5.")
    assert only(sweep).progress.images == 5504, "a line without its end is torn"
    assert only(sweep).progress.total_kimg == 20


def measure(folders: Any, run: Path, images: int, **values: float) -> None:
    for name, value in values.items():
        metric, _, label = name.rpartition("_")
        folders.append(run / "metrics.jsonl", {"images": images, "metric": metric, "label": label, "value": value})


def test_the_best_is_the_lowest_of_the_first_metric(sweep: Path, folders: Any) -> None:
    assert only(sweep).progress.best is None
    for images, full in ((1000, 30.0), (2000, 20.0), (3000, 25.0)):
        measure(folders, sweep / "run-0", images, frechet_full=full, frechet_half=images / 1e6)
    best = only(sweep).progress.best
    assert best is not None
    assert (best.name, best.value, best.images) == ("frechet_full", 20.0, 2000)


def test_the_best_follows_the_monitor_of_the_checkpoints(sweep: Path, folders: Any) -> None:
    monitor = {"checkpoint": {"monitor": "metrics/pr_recall_full"}}
    folders.train(sweep / "run-0", 4000, callbacks=monitor)
    folders.append(sweep / "run-0" / "metrics.jsonl", {"images": 1, "metric": "fd", "label": "full", "value": 1.0})
    line = {"images": 2, "metric": "pr", "part": "recall", "label": "full", "value": 0.5}
    folders.append(sweep / "run-0" / "metrics.jsonl", line)
    best = only(sweep).progress.best
    assert best is not None
    assert (best.name, best.value) == ("pr_recall_full", 0.5)


def test_a_pipeline_counts_over_its_stages(sweep: Path, folders: Any) -> None:
    stages = {name: {"name": name, "kimg": kimg} for name, kimg in (("stylegan2", 13), ("multires", 2), ("ada_ch", 5))}
    run = sweep / "run-0"
    (run / "run.json").unlink()
    folders.train(run, 0, stage={"name": "pipeline", **stages})
    folders.record(run / "stylegan2", 13000, "finished")
    folders.record(run / "multires", 1000, "running")
    folders.begin(run)
    measure(folders, run / "stylegan2", 13000, frechet_full=9.0)
    progress = only(sweep).progress
    assert (progress.stage, progress.images, progress.total_kimg) == ("multires 2/3", 14000, 20)
    assert progress.best is not None
    assert progress.best.value == 9.0
    folders.record(run / "multires", 2000, "finished")
    assert only(sweep).state.name == "died", "between two stages"
    folders.record(run / "ada_ch", 5000, "finished")
    assert (only(sweep).state.name, only(sweep).progress.stage) == ("finished", "ada_ch 3/3")


@pytest.mark.parametrize(("images", "kimg", "finished"), [(20000, 20, True), (4, 0.006, True), (4, 0.008, False)])
def test_a_finished_run_has_seen_all_whole_batches(
    sweep: Path, folders: Any, images: int, kimg: float, finished: bool
) -> None:
    folders.train(sweep / "run-0", images, "finished", kimg=kimg)
    assert (only(sweep).state.name == "finished") is finished


def test_the_link_to_weights_and_biases(sweep: Path) -> None:
    address = sweep / "run-0" / "wandb.json"
    assert only(sweep).progress.wandb == ""
    address.write_text(json.dumps({"id": "a", "project": "p", "entity": None, "url": None, "mode": "offline"}))
    assert only(sweep).progress.wandb == f"offline: wandb sync {sweep}/run-0/wandb/offline-run-*"
    address.write_text(json.dumps({"id": "a", "project": "p", "entity": "e", "url": "https://w/e/p/runs/a"}))
    assert only(sweep).progress.wandb == "https://w/e/p/runs/a"


def test_who_holds_the_lock_is_running_and_is_not_disturbed(sweep: Path, folders: Any) -> None:
    folders.begin(sweep / "run-0")
    assert only(sweep).state.name == "died"
    with folders.locked(sweep / "run-0") as pid:
        folders.begin(sweep / "run-0", attempt=2, pid=pid)
        assert (only(sweep).state.name, only(sweep).restarts, only(sweep).where) == ("running", 1, "node7")
    assert only(sweep).state.name == "died"


def test_a_local_launcher_that_lives_will_start_its_jobs(sweep: Path, folders: Any) -> None:
    (sweep / "run-0" / "run.json").unlink()
    with folders.locked(sweep) as pid:
        folders.submit(sweep, [0], str(pid), "local", socket.gethostname())
        assert only(sweep).state.name == "queued"
    assert (only(sweep).state.name, only(sweep).state.detail) == ("stopped", "its launcher ended")
    log = sweep / "local" / "0.out"
    log.parent.mkdir()
    log.write_text("of a former time\n")
    os.utime(log, (0, 0))
    assert only(sweep).state.name == "stopped"
    log.write_text("loading\nerror: data.path=nowhere does not exist\n\n")
    assert (only(sweep).state.name, only(sweep).error) == ("failed", "error: data.path=nowhere does not exist")


def test_the_error_is_the_attempts_own(sweep: Path, folders: Any) -> None:
    folders.begin(sweep / "run-0")
    folders.end(sweep / "run-0", "failed", "loss/d is not finite at 4000 images")
    assert (only(sweep).state.name, only(sweep).error) == ("failed", "loss/d is not finite at 4000 images")


def test_names_tell_jobs_apart(tmp_path: Path, folders: Any) -> None:
    def job(row: str | None, *more: str) -> dict[str, Any]:
        return {"row": row, "overrides": ["data=faces", "seed=1", *more]}

    folders.write_sweep(tmp_path, [
        job("vanilla", "+experiments=table2/vanilla"), job(None, "stage.mode=uniform", "+x.y=[1,2]"), job(None),
    ])  # fmt: skip
    assert [one.name for one in sweep_status(tmp_path).jobs] == ["vanilla", "stage.mode=uniform +x.y=[1,2]", "run-2"]


def test_several_experiments_of_one_row_are_told_apart(tmp_path: Path, folders: Any) -> None:
    folders.write_sweep(tmp_path, [
        {"row": row, "overrides": [f"+experiments@_global_=table2/{file}", f"seed={seed}", "data=faces"]}
        for row, file in [("same_d", "same_d"), ("vanilla", "vanilla_025"), ("vanilla", "vanilla_050")]
        for seed in (0, 1)
    ])  # fmt: skip
    names = [one.name for one in sweep_status(tmp_path).jobs]
    assert names[::2] == names[1::2] == ["same_d", "table2/vanilla_025", "table2/vanilla_050"]


def test_runs_without_a_record_are_shown(tmp_path: Path, folders: Any) -> None:
    folders.train(tmp_path / "a", 20000, "finished", seed=3, table={"row": "one"})
    folders.train(tmp_path / "b", 1000, "stopped")
    (tmp_path / "report").mkdir()
    status = sweep_status(tmp_path)
    assert [(job.job.folder, job.job.seed, job.job.row, job.state.name) for job in status.jobs] == [
        ("a", 3, "one", "finished"), ("b", 0, None, "stopped")
    ]  # fmt: skip
    assert not status.recorded
    assert [job.job.folder for job in sweep_status(tmp_path / "b").jobs] == ["b"]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("")])
def test_what_is_no_sweep_is_an_error_that_names_it(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"nothing .*name the folder of a sweep"):
        sweep_status(tmp_path / "nothing")


def test_a_damaged_record_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text('{"jobs": [{"index"')
    with pytest.raises(UserError, match=r"sweep\.json is damaged"):
        sweep_status(tmp_path)


@pytest.mark.parametrize(
    "name", ["config.yaml", "run.json", "metrics.csv", "metrics.jsonl", "attempts.jsonl", "wandb.json"]
)
@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"{", b"[1, 2]\n", b"a: [", b'{"stage": 3, "value": "x"}\n'])
def test_a_damaged_file_of_a_run_costs_its_own_cell_only(sweep: Path, folders: Any, name: str, content: bytes) -> None:
    folders.write_sweep(sweep, [{}, {}])
    folders.train(sweep / "run-1", 20000, "finished")
    (sweep / "run-0" / name).write_bytes(content)
    status = sweep_status(sweep)
    assert json.loads(json.dumps(status.to_json()))["jobs"][1]["state"] == "finished"
    assert len(status.jobs) == 2


def test_half_written_lines_of_attempts_are_passed_over(sweep: Path, folders: Any) -> None:
    folders.begin(sweep / "run-0")
    folders.end(sweep / "run-0", "stopped")
    with (sweep / "run-0" / "attempts.jsonl").open("a") as file:
        file.write('{"attempt": 2, "ti')
    with (sweep / "submissions.jsonl").open("w") as file:
        file.write('{"time": "2026')
    assert (only(sweep).state.name, only(sweep).restarts) == ("stopped", 0)


def test_two_hundred_jobs_take_less_than_a_second_and_nothing_heavy(tmp_path: Path, folders: Any) -> None:
    """Seconds of computing, start of Python included: other processes of the machine must not count."""
    folders.write_sweep(tmp_path, [{}] * 200)
    settings = {f"group{number}": {f"key{key}": key for key in range(10)} for number in range(20)}
    for index in range(200):
        run = tmp_path / f"run-{index}"
        folders.train(run, 4000, **settings)
        folders.begin(run)
        (run / "metrics.csv").write_text("images,kimg,loss/d\n" + "4000,4.0,1.25\n" * 2000)
        measure(folders, run, 4000, **{f"m{number}_full": 1.0 for number in range(20)})
    code = (
        "import resource, sys; from anycost.commands import main; main(sys.argv[1:]);"
        "used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime);"
        "print(sorted({'torch', 'pytorch_lightning', 'hydra', 'omegaconf', 'wandb', 'numpy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "sweep", "status", str(tmp_path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[-4] == "200 died"
    assert float(lines[-2]) < 1
    assert lines[-1] == "[]"
