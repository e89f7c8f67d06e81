"""Which run a command continues, starts or finds finished, and where its first weights come from."""

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anycost.errors import UserError
from anycost.interchange.weights import (
    build_generator,
    generator_header,
    generator_tensors,
    read_header,
    read_weights,
    write_weights,
)
from anycost.runs import RunDir

Train = Callable[..., RunDir]
Command = Callable[..., str]
Refused = Callable[..., str]


def runs(folder: str = "logs/train/runs") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "train.log"}


def test_same_command_says_that_it_is_finished_and_changes_nothing(command: Command) -> None:
    assert "finished" not in command("stylegan2")
    (name,) = runs()
    before = contents(Path("logs"))
    assert f"{name} is finished: 16 images\n" in command("stylegan2")
    assert contents(Path("logs")) == before


def test_more_images_continue_and_fewer_are_there_already(command: Command) -> None:
    command("stylegan2")
    assert "at 16 images" in command("stylegan2", "stage.kimg=0.032")
    (name,) = runs()
    record = RunDir(Path("logs/train/runs") / name).read_record()
    assert (record.state, record.images, record.attempts) == ("finished", 32, 2)
    assert "is finished: 32 images" in command("stylegan2")


def test_killed_between_the_last_checkpoint_and_the_weights(train: Train) -> None:
    run = train("run", "stylegan2", 16)
    expected = run.weights.read_bytes()
    run.weights.unlink()
    train("run", "stylegan2", 16)
    assert run.weights.read_bytes() == expected
    assert run.read_record().state == "finished"


def test_resume_never_starts_another(command: Command) -> None:
    command("stylegan2", "run=mine")
    command("stylegan2", "run=mine", "resume=never")
    assert runs() == ["mine", "mine-2"]
    first, second = (Path("logs/train/runs", name, "metrics.csv").read_text() for name in runs())
    assert first == second


@pytest.mark.parametrize("path", ["first", "first/checkpoints/last.ckpt", "first/checkpoints/kimg_000000.008.ckpt"])
def test_resume_from_a_path(train: Train, command: Command, path: str) -> None:
    train("logs/train/runs/first", "multires", 16, "callbacks.checkpoint.every_kimg=0.008")
    start = 8 if "008" in path else 16
    options = ["run=second", f"resume=logs/train/runs/{path}"]
    assert f"at {start} images" in command("multires", *options, "stage.kimg=0.024")
    assert "is finished" in command("multires", *options, "stage.kimg=0.024")
    assert "is not needed" in command("multires", *options, "stage.kimg=0.032")


def test_named_run_under_other_settings_says_so(command: Command) -> None:
    assert "other settings" not in command("stylegan2", "run=mine", "stage.r1.gamma=1")
    assert "other settings" not in command("stylegan2", "run=mine", "stage.r1.gamma=1", "stage.kimg=0.024")
    printed = command("stylegan2", "run=mine", "stage.r1.gamma=2", "stage.kimg=0.032")
    assert "mine with other settings: stage.r1.gamma was 1.0, is 2.0\n" in printed


def test_pipeline_resumes_from_the_folder_of_another(command: Command, refused: Refused) -> None:
    lengths = [f"stage.{stage}.kimg=0.016" for stage in ("stylegan2", "multires", "ada_ch")]
    none = [f"stage.{stage}.consistency.perceptual=none" for stage in ("multires", "ada_ch")]
    command("pipeline", "run=first", *lengths, *none)
    shutil.rmtree("logs/train/runs/first/ada_ch")
    printed = command("pipeline", "run=second", "resume=logs/train/runs/first", *lengths, *none)
    assert printed.count("at 16 images") == 2
    assert printed.count("initialised from") == 1
    message = refused("pipeline", "resume=logs", *lengths, *none)
    assert "resume=logs is not the folder of a pipeline; use auto, never or such a folder" in message


def test_data_that_is_gone_leaves_a_finished_run_finished(train: Train, refused: Refused) -> None:
    run = train("logs/train/runs/mine", "stylegan2", 8)
    assert "data.path=gone does not exist" in refused("stylegan2", "run=mine", "data.path=gone")
    assert run.read_record().state == "finished"


def test_new_folder_under_a_launcher_is_refused(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert "name one with run=NAME" in refused("stylegan2", "resume=never", "trainer.devices=2")


@pytest.mark.parametrize(("path", "message"), [
    ("nowhere", "resume=nowhere does not exist; use auto, never, a checkpoint or a run folder"),
    ("logs", "resume=logs has no checkpoints; use auto, never, a checkpoint or a run folder"),
])
def test_resume_from_nothing(refused: Refused, path: str, message: str) -> None:
    assert message in refused("stylegan2", f"resume={path}")


def test_resume_from_a_checkpoint_of_another_model(train: Train, refused: Refused) -> None:
    train("logs/train/runs/first", "stylegan2", 8)
    wider = refused("stylegan2", "run=second", "resume=logs/train/runs/first", "model.channel_cap=12")
    assert "the checkpoint of stage=stylegan2 does not fit this configuration of stage=stylegan2: generator." in wider
    assert "is [1, 8, 4, 4] in it and [1, 12, 4, 4] here" in wider
    other = refused("ada_ch", "run=third", "resume=logs/train/runs/first")
    assert "of stage=stylegan2 does not fit this configuration of stage=ada_ch" in other


def test_two_commands_do_not_train_in_one_folder(command: Command, refused: Refused, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path; from anycost.runs import RunDir\n"
         f"with RunDir(Path({str(tmp_path / 'logs/train/runs/mine')!r})).owned(): print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    assert "another process is training in" in refused("stylegan2", "run=mine")
    holder.kill()
    holder.wait()
    command("stylegan2", "run=mine")


# ---- init_from


@pytest.fixture
def trained(train: Train) -> RunDir:
    """A finished multires run."""
    return train("logs/train/runs/trained", "multires", 8)


AUTO = ["init_from=auto"]


def test_auto_finds_the_last_finished_run_of_the_preceding_stage(command: Command, trained: RunDir) -> None:
    later, unfinished = (RunDir(Path("logs/train", name)) for name in ("multiruns/sweep/later", "runs/unfinished"))
    for newer, copy in enumerate([later, unfinished], 1):
        shutil.copytree(trained.path, copy.path)
        os.utime(copy.weights, (time.time() + newer, time.time() + newer))
    unfinished.write_record(replace(unfinished.read_record(), state="stopped"))
    printed = command("ada_ch", *AUTO)
    assert f"initialised from {later.weights}: " in printed
    for piece in ("generator: ", "tensors carried over", "discriminator: ", "fresh (", "channels sorted by importance"):
        assert piece in printed


def test_auto_prefers_the_same_multirun(train: Train, trained: RunDir, caplog: pytest.LogCaptureFixture) -> None:
    """A newer run elsewhere does not change what a job of a sweep starts from."""
    origin = RunDir(trained.path.parents[1] / "multiruns/sweep/origin")
    shutil.copytree(trained.path, origin.path)
    os.utime(origin.weights, (0, 0))
    caplog.set_level(logging.INFO)
    logs = f"paths.logs={trained.path.parents[2]}"
    train("logs/train/multiruns/sweep/job", "ada_ch", 8, *AUTO, logs)
    assert f"initialised from {origin.weights}: " in caplog.text
    train("logs/train/multiruns/other/job", "ada_ch", 8, *AUTO, logs)
    assert f"initialised from {trained.weights}: " in caplog.text


def test_a_row_must_be_one_run(train: Train) -> None:
    """Under Hydra's own launcher no sweep.json says which run a row is; with two of them nothing is guessed."""
    train("sweep/one", "multires", 8, "table.row=base")
    train("sweep/job", "ada_ch", 8, "init_from=row:base")
    train("sweep/two", "multires", 8, "table.row=base")
    with pytest.raises(UserError, match=r"several runs of .*sweep are the row base with seed=0: one, two; name one"):
        train("sweep/another", "ada_ch", 8, "init_from=row:base")


@pytest.mark.parametrize("difference", ["seed=1", "data.name=other", "model.channel_cap=12", "model.latent_dim=8"])
def test_auto_passes_over_runs_of_other_kinds(trained: RunDir, refused: Refused, difference: str) -> None:
    message = refused("ada_ch", *AUTO, difference)
    assert "init_from=auto found no finished multires run with this data, model and seed under logs/train" in message
    assert "stage=pipeline" in message
    assert "init_from=none" in message


@pytest.mark.parametrize("name", ["{run}", "{run}/weights.safetensors", "copy of it (1) [a=b], ü.safetensors"])
def test_named_weights(command: Command, trained: RunDir, name: str) -> None:
    name = name.format(run=trained.path)
    if not Path(name).exists():
        shutil.copy(trained.weights, name)
    printed = command("ada_ch", f"init_from={name}", "stage.sort_channels=false")
    assert "initialised from" in printed
    assert "sorted" not in printed


def test_weights_are_those_of_the_file(command: Command, trained: RunDir) -> None:
    command("stylegan2", "run=next", f"init_from={trained.path}", "stage.optimizer.learning_rate=0")
    before, after = read_weights(trained.weights)[0], read_weights("logs/train/runs/next/weights.safetensors")[0]
    shared = {name: x for name, x in before.items() if name in after}
    assert len(shared) > 30
    torch.testing.assert_close({name: after[name] for name in shared}, shared, rtol=0, atol=1e-6)


def test_the_file_says_what_was_trained(trained: RunDir) -> None:
    header = read_header(trained.weights)
    assert (header.kind, header.format) == ("training", 2)
    known = {name: header.card[name] for name in ("stage", "images", "weights", "ladder")}
    ladder = {"4": [8, 8], "8": [8, 8], "16": [8, 8]}
    assert known == {"stage": "multires", "images": 8, "weights": "ema", "ladder": ladder}


def test_weights_without_a_discriminator(command: Command, trained: RunDir) -> None:
    generator = build_generator(*read_weights(trained.weights))
    generator.truncation_mean = torch.zeros(generator.latent_dim)
    write_weights("generator.safetensors", generator_tensors(generator), generator_header(generator))
    assert "discriminator: none in the file, stays fresh" in command("ada_ch", "init_from=generator.safetensors")


@pytest.mark.parametrize(("name", "message"), [
    ("nowhere", "init_from=nowhere does not exist"),
    ("logs", "init_from=logs is no run folder: it has no weights.safetensors and no config.yaml"),
    ("text.safetensors", "is not a whole safetensors file"),
])
def test_weights_that_are_none(command: Command, refused: Refused, name: str, message: str) -> None:
    Path("logs").mkdir()
    Path("text.safetensors").write_text("hello")
    assert message in refused("ada_ch", f"init_from={name}")


@pytest.mark.parametrize(("difference", "message"), [
    ("model.mapping_layers=1",
     "another generator than that of model.mapping_layers=1; train it with model.mapping_layers=2"),
    ("model.latent_dim=8", "that of model.latent_dim=8; train it with model.latent_dim=16"),
    ("model.channel_cap=12", "that of model.channel_cap=12; train it with model.channel_cap=8"),
    ("data.resolution=8", "that of model.resolution=8; train it with data.resolution=16"),
])
def test_weights_of_another_form(trained: RunDir, refused: Refused, difference: str, message: str) -> None:
    """The message is the option that is needed."""
    assert message in refused("multires", f"init_from={trained.path}", difference)


def test_weights_of_channels_that_are_not_trained(trained: RunDir, refused: Refused) -> None:
    generator = build_generator(*read_weights(trained.weights))
    architecture = generator.space.from_channels((8, 8, 8, 8, 4, 8))
    small = generator.extract(architecture)
    write_weights("small.safetensors", generator_tensors(small), generator_header(small))
    message = refused("ada_ch", "init_from=small.safetensors")
    assert "the channels 8, 8, 8, 8, 4, 8, which no model.multiplier and model.channel_cap give" in message


def test_embedded_weights_are_no_start(refused: Refused, command: Command, trained: RunDir) -> None:
    tensors, header = read_weights(trained.weights)
    write_weights("embedded.safetensors", tensors, type(header)("embedded"))
    assert "holds embedded weights, not those of a generator" in refused("ada_ch", "init_from=embedded.safetensors")
