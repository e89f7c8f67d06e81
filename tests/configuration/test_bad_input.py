"""Every mistake in a configuration gets one message that names the key and the remedy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from anycost.configuration.composition import compose
from anycost.errors import UserError

Runs = Callable[..., list]

MESSAGES = {
    "stage=ada_ch stage.kimgg=3": "stage.kimgg does not exist; did you mean stage.kimg?",
    "stage=ada_ch +stage.kimgg=3": "stage.kimgg does not exist; did you mean stage.kimg?",
    "stage=ada_ch ++stage.consistency.wieght=3": "did you mean stage.consistency.weight?",
    "stage.kimg=3": "did you mean stage.stylegan2.kimg or stage.multires.kimg or stage.ada_ch.kimg?",
    "batch_size=8": "batch_size does not exist; did you mean data.batch_size or schedule.batch_size or",
    "stagee=ada_ch": "stagee does not exist; did you mean stage?",
    "experiment=official/ada_ch": "experiment does not exist; did you mean experiments?",
    "trainer.gpus=2": "trainer.gpus does not exist; trainer has accelerator, devices",
    "stage=ada_chh": "stage=ada_chh does not exist; did you mean ada_ch? Options: ada_ch, attributes, distill",
    "experiments=official/ada": "experiments=official/ada does not exist; did you mean official/ada_ch? "
    "Options: official/ada_ch, official/multires, official/stylegan2",
    "stage=ada_ch stage.kimg=abc": "stage.kimg: Value 'abc'",
    "trainer.devices=null": "trainer.devices cannot be null",
    "seed=1,2": "seed=1,2 has several values: add -m",
    "seed": "cannot read the argument 'seed'",
    "data=zip data.path=x": "data.resolution is missing: add data.resolution=",
    "data.resolution=48": "data.resolution=48 is not a power of two; take 32 or 64",
    "data.resolution=4": "data.resolution=4 must be at least 8",
    "model.resolution=64": "set data.resolution only",
    "data.batch_size=18": "data.batch_size=18 cannot be split into groups of 4; take a multiple of 4",
    "data.batch_size=8 trainer.devices=4": "data.batch_size=8 cannot be split into 4 processes .* multiple of 16",
    "data.batch_size=32 trainer.micro_batch=6": "trainer.micro_batch=6 .* possible: 4, 8, 16, 32",
    "data.batch_size=32 trainer.micro_batch=12": "trainer.micro_batch=12 .* possible: 4, 8, 16, 32",
    "stage=ada_ch stage.num_resolutions=5": "stage.num_resolutions=5 does not fit data.resolution=32: .* there are 3",
    "stage.ada_ch.sampled_resolutions=4": "stage.ada_ch.sampled_resolutions=4 is more than",
    "schedule=paper stage.stylegan2.path_length.batch_shrink=3":
        "stage.stylegan2.path_length.batch_shrink=3 does not divide the 32 images",
    "schedule=paper trainer.micro_batch=4 stage.stylegan2.path_length.batch_shrink=8":
        "stage.stylegan2.path_length.batch_shrink=8 does not divide the 4 images",
    "stage=ada_ch stage.mode=uniformly": "stage.mode=uniformly is not one of uniform, flexible, sandwich",
    "stage=ada_ch stage.r1.every=0": "stage.r1.every=0 must be at least 1",
}


@pytest.mark.parametrize("command", MESSAGES)
def test_message_names_key_and_remedy(command: str) -> None:
    with pytest.raises(UserError, match=MESSAGES[command].replace("?", r"\?")):
        compose(*command.split())


@pytest.mark.parametrize("command", ["stage.kimgg=3", "data.batch_size=18", "stage=ada_chh", "data=zip data.path=x"])
def test_refused_command_leaves_no_folder_behind(run_all: Runs, tmp_path: Path, command: str) -> None:
    with pytest.raises(UserError):
        run_all(*command.split())
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(("text", "message"), [
    ("nam: x", r"data/mine\.yaml: data\.nam does not exist; did you mean data\.name\?"),
    ("resolution: large", r"data/mine\.yaml: data\.resolution: Value 'large'"),
    ("name: [x", "not valid YAML"),
    ("defaults: [override /model@_global_.model: config_g]", "model=config_g does not exist; did you mean config_"),
])
def test_mistakes_in_yaml_files_name_the_file(run_all: Runs, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        run_all("--config-dir", str(tmp_path / "mine"), "data=mine", "--cfg", "job")


def test_printing_a_multirun_says_what_can_be_printed(run_all: Runs) -> None:
    with pytest.raises(UserError, match="--cfg prints one configuration: leave -m out"):
        run_all("-m", "seed=0,1", "--cfg", "job")


@pytest.mark.parametrize("command", ["stage.kimgg=3", "stage=ada_chh"])
def test_misspelt_names_fail_when_only_printing(run_all: Runs, command: str) -> None:
    with pytest.raises(UserError, match="does not exist"):
        run_all(command, "--cfg", "job")


def test_other_errors_keep_their_traceback(run_all: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anycost.configuration.composition.to_train_config", lambda composed: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run_all()
