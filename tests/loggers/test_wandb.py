"""Weights & Biases offline: no account, one file per attempt, every step once over all attempts, none missing."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb

from anycost import signals
from anycost.configuration.schema import LoggerConfig
from anycost.loggers import wandb as wandb_module
from anycost.loggers.building import build_loggers, continue_from
from anycost.loggers.wandb import ImagesWandbLogger, WandbRun, _write_address, resolved_mode
from anycost.runs import RunDir


def attempt(folder: Path, start: int, stop: int, checkpoint: int) -> None:
    """Train from `start` with a checkpoint on the way; where `stop` is beyond it, be killed there."""
    config = LoggerConfig(wandb=True, group="tables", tags=["a", "b"])
    loggers = build_loggers(config, RunDir(folder), "ada_ch", "faces", {"seed": 3, "stage": {"kimg": 8}})
    continue_from(loggers, RunDir(folder), start)
    for images in range(start + 32, stop + 1, 32):
        for logger in loggers:
            logger.log_metrics({"loss/d": images / 7, "loss/g": images / 9}, images)
            if images % 160 == 0:
                logger.log_metrics({"metrics/frechet": 1 / images}, images)
        if images == checkpoint:
            for logger in loggers:
                logger.save()
    if stop > checkpoint:
        os.kill(os.getpid(), signal.SIGKILL)
    for logger in loggers:
        logger.finalize("success")


def without_account(patch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        patch.delenv(name, raising=False)
    patch.setenv("NETRC", str(folder / "netrc"))
    patch.setenv("WANDB_SILENT", "true")


def run_attempt(*arguments: object) -> int:
    """In a process of its own, forked: the imports are the slow part. Returns its exit code."""
    process = multiprocessing.get_context("fork").Process(target=attempt, args=arguments)
    process.start()
    process.join(timeout=120)
    assert process.exitcode is not None
    return process.exitcode


def records(folder: Path) -> list[list[dict[str, Any]]]:
    """The records of every attempt, oldest first."""
    wandb = Path(sys.executable).with_name("wandb")
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_ctime_ns)
    return [
        [
            json.loads(line)
            for line in subprocess.run(
                [wandb, "leet", "inspect", file, "--json"], capture_output=True, text=True, check=True
            ).stdout.splitlines()
        ]
        for file in files
    ]


def history(attempts: list[list[dict[str, Any]]]) -> dict[int, dict[str, float]]:
    """What a reader sees that keeps the last row per step."""
    rows = {}
    for record in (record for lines in attempts for record in lines if record["type"] == "history"):
        item = record["history"]["item"]
        assert item["_step"] == item["images"]
        rows[item["_step"]] = {name: value for name, value in item.items() if not name.startswith("_")}
    return rows


def expected(stop: int) -> dict[int, dict[str, float]]:
    rows = {}
    for images in range(32, stop + 1, 32):
        rows[images] = {"images": images, "kimg": images / 1000, "loss/d": images / 7, "loss/g": images / 9}
        if images % 160 == 0:
            rows[images]["metrics/frechet"] = 1 / images
    return rows


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """Killed right after a checkpoint, before the first flush; killed long after the start; then finished."""
    folder = tmp_path_factory.mktemp("runs") / "ada_ch-faces-r0123abcd"
    with pytest.MonkeyPatch.context() as patch:
        without_account(patch, folder)
        assert run_attempt(folder, 0, 96, 64) == -signal.SIGKILL
        assert run_attempt(folder, 64, 9632, 9600) == -signal.SIGKILL
        assert run_attempt(folder, 9600, 9920, 9920) == 0
    return records(folder)


def test_the_run_folder_says_where_the_run_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_account(monkeypatch, tmp_path)
    folder = tmp_path / "ada_ch-faces-r0123abcd"
    assert run_attempt(folder, 0, 32, 32) == 0
    address = json.loads((folder / "wandb.json").read_text())
    assert address == {
        "id": "ada_ch-faces-r0123abcd", "project": "anycost", "entity": None, "url": None, "mode": "offline"
    }  # fmt: skip
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert run_attempt(tmp_path / "silent", 0, 32, 32) == 0
    assert not (tmp_path / "silent" / "wandb.json").exists()


class OnlineRun:
    """What wandb says of a run that it sends to a server."""

    id, project, entity, url = "r1", "anycost", "lab", "https://wandb.example.org/lab/anycost/runs/r1"
    offline = disabled = False


def test_a_run_on_a_server_has_its_address(tmp_path: Path) -> None:
    _write_address(OnlineRun(), tmp_path)  # type: ignore[arg-type]
    address = json.loads((tmp_path / "wandb.json").read_text())
    assert address["url"] == "https://wandb.example.org/lab/anycost/runs/r1"
    assert (address["entity"], address["mode"]) == ("lab", "online")


def test_all_attempts_together_hold_every_step_once(attempts: list[list[dict[str, Any]]]) -> None:
    assert len(attempts) == 3
    assert history(attempts) == expected(9920)


def test_the_run_says_what_it_is(attempts: list[list[dict[str, Any]]]) -> None:
    lines = attempts[-1]
    run = next(record["run"] for record in lines if record["type"] == "run")
    assert run["run_id"] == run["display_name"] == "ada_ch-faces-r0123abcd"
    assert (run["run_group"], run["job_type"], run["project"]) == ("tables", "ada_ch", "anycost")
    assert sorted(run["tags"]) == ["a", "b"]
    config = {key: value for key, value in run["config"]["update"].items() if not key.startswith("_")}
    assert config == {"seed": 3, "stage": {"kimg": 8}}
    metrics = [record["metric"] for record in lines if record["type"] == "metric"]
    assert any(metric.get("glob_name") == "*" and metric["step_metric"] == "images" for metric in metrics)


def test_the_data_set_is_the_default_group(tmp_path: Path) -> None:
    (logger,) = build_loggers(LoggerConfig(csv=False, wandb=True), RunDir(tmp_path / "run"), "ada_ch", "faces", {})
    assert logger._wandb_init["group"] == "faces"


def test_auto_is_online_only_with_an_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_account(monkeypatch, tmp_path)
    assert resolved_mode("auto") == "offline"
    assert resolved_mode("online") == "online"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    os.chmod(tmp_path / "netrc", 0o600)
    assert resolved_mode("auto") == "online"
    assert resolved_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert resolved_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert resolved_mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolved_mode("auto") == "disabled"


class Gone:
    """A wandb run whose service has ended."""

    step = 0

    def __getattr__(self, name: str) -> Any:
        raise ConnectionResetError("Connection lost")


@pytest.mark.parametrize("call", [
    lambda logger: logger.log_metrics({"loss": 1.0}, 8),
    lambda logger: logger.summarise({"best": 1.0}),
    lambda logger: logger.mark_stopped(),
    lambda logger: logger.finalize("failed"),
])
def test_a_service_that_the_same_signal_ended_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[ImagesWandbLogger], None]
) -> None:
    """SLURM signals all processes of a job; without a signal the failure is told."""
    monkeypatch.setattr(wandb_module, "_SIGNAL_SEC", 0.1)
    logger = ImagesWandbLogger(WandbRun("one", "project", tmp_path), "offline")
    logger._experiment = Gone()
    with pytest.raises(ConnectionResetError):
        call(logger)
    monkeypatch.setattr(signals, "received", lambda: signal.SIGTERM)
    call(logger)


def test_a_signal_while_the_service_starts_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ConnectionResetError("Connection lost")

    monkeypatch.setattr(wandb, "init", fail)
    monkeypatch.setattr(signals, "received", lambda: signal.SIGTERM)
    with pytest.raises(signals.Stopped):
        ImagesWandbLogger(WandbRun("one", "project", tmp_path), "offline").log_metrics({"loss": 1.0}, 8)
