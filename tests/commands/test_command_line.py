"""The command line as a user meets it: verbs, exit status, start-up time, one entry point under two names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anycost import commands
from anycost.commands import VERBS, main
from anycost.configuration.composition import compose
from anycost.configuration.convert import save_config

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "pytorch_lightning", "wandb", "matplotlib", "torchvision")


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, timeout=240)


def cpu_seconds(*command: str) -> float:
    """CPU time of the quickest of three runs: the machine may be busy with something else."""
    times = []
    for _ in range(3):
        before = os.times()
        assert run(*command).returncode == 0
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(times)


def test_verbs_are_the_files_of_the_folder() -> None:
    folder = Path(commands.__file__).parent
    files = {file.stem for file in folder.glob("*.py") if "\ndef main(" in file.read_text() and file.stem[0] != "_"}
    assert files == set(VERBS)


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == main([]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)


def test_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert capsys.readouterr().err.startswith("error: anycost trian does not exist; did you mean train?")


def test_mistakes_exit_with_2_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "stage=ada_ch", "stage.kimgg=3", "--cfg", "job"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: stage.kimgg does not exist; did you mean stage.kimg?\n"
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [
    ["info", "weights={}"], ["convert", "source={}", "output=x.safetensors"],
    ["generate", "weights=x", "seeds=0", "output={}/x.png"], ["search", "weights={}", "budget=1G"],
])
def test_paths_that_cannot_be_looked_at(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Too long a name stands for a folder of somebody else as well, which root may look into."""
    name = "a" * 300
    assert main([argument.format(name) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "too long" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("arguments", "limit"), [
    (["-m", "anycost", "--help"], 0.5),
    (["-m", "anycost", "train", "--help"], 0.5),
    (["train.py", "--cfg", "job"], 2.0),
])
def test_start_up_is_quick_and_light(arguments: list[str], limit: float) -> None:
    assert cpu_seconds(*arguments) < limit
    imports = run("-X", "importtime", *arguments).stderr
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in imports.splitlines()}
    assert not loaded & set(HEAVY)
    assert "anycost" in loaded


def test_train_py_is_anycost_train(tmp_path: Path) -> None:
    data = ["data=zip", "data.path=My [x]=1.zip", "data.resolution=64"]
    arguments = ["--cfg", "job", "--resolve", "stage=ada_ch", *data]
    one = run(str(ROOT / "train.py"), *arguments, cwd=tmp_path)
    two = run("-m", "anycost", "train", *arguments, cwd=tmp_path)
    assert one.returncode == two.returncode == 0
    assert one.stdout == two.stdout
    assert "path: My [x]=1.zip" in one.stdout
    assert not list(tmp_path.iterdir())


def test_help_of_train_names_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "official/ada_ch" in out
    assert "base_" not in out


def test_further_processes_get_the_resolved_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("anycost.commands.train.train", lambda config, run_dir: seen.append((config, run_dir)))
    config = compose("stage=multires", "seed=3")
    save_config(config, tmp_path / "config.yaml")
    assert main(["train", "--resolved", str(tmp_path / "config.yaml")]) == 0
    assert seen == [(config, tmp_path)]


@pytest.mark.parametrize("arguments", [["--resolved"], ["--resolved", "nowhere/config.yaml"]])
def test_missing_resolved_file(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *arguments]) == 2
    assert "--resolved" in capsys.readouterr().err
