"""What commands mean: groups, defaults and who wins."""

from pathlib import Path

import pytest

from anycost.configuration.composition import compose
from anycost.configuration.convert import load_config, save_config
from anycost.configuration.paths import config_groups
from anycost.configuration.stage_schema import STAGES
from anycost.errors import UserError

NEEDED = {
    "folder": ["data.path=x", "data.resolution=64"], "zip": ["data.path=x", "data.resolution=64"],
    "distill": ["stage.teacher=x"], "prune": ["init_from=x"],
}
ALTERNATIVES = [
    (group, option)
    for group, options in config_groups().items()
    for option in options
    if not (group == "data" and option == "faces") and group != "hydra/launcher"  # these belong to multiruns
]


def test_bare_command_is_the_quickstart() -> None:
    config = compose()
    assert (config.stage.name, config.data.name, config.data.resolution) == ("pipeline", "faces", 32)
    assert (config.model.name, config.model.multiplier, config.model.channel_cap) == ("small", 0.125, 64)
    assert config.model.resolution == 32
    assert config.stage.ada_ch.num_resolutions == 3
    assert config.stage.ada_ch.kimg == config.schedule.ada_ch < 100
    assert config.metrics.features == config.stage.multires.consistency.perceptual == "embedded"


def test_ffhq_brings_the_scale_of_the_paper() -> None:
    config = compose("stage=ada_ch", "data=ffhq")
    assert (config.data.resolution, config.model.name, config.model.multiplier) == (1024, "config_f", 2.0)
    assert (config.stage.kimg, config.stage.num_resolutions, config.stage.ema_kimg) == (9100, 4, 10)
    assert (config.metrics.features, config.stage.consistency.perceptual) == ("inception", "lpips")
    assert config.data.path.endswith("ffhq.zip")


def test_command_line_beats_the_data_set() -> None:
    config = compose("data=ffhq", "model=small", "schedule=quickstart", "features=embedded", "data.resolution=64")
    assert (config.model.name, config.model.resolution, config.schedule.name) == ("small", 64, "quickstart")
    assert config.metrics.features == "embedded"


def test_stage_options_beat_the_schedule() -> None:
    config = compose("data=ffhq", "stage.ada_ch.kimg=20", "schedule.multires=7")
    assert (config.stage.stylegan2.kimg, config.stage.multires.kimg, config.stage.ada_ch.kimg) == (25000, 7, 20)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_is_the_right_class(stage: str) -> None:
    assert type(compose(f"stage={stage}", *NEEDED.get(stage, [])).stage) is STAGES[stage]


@pytest.mark.parametrize(("group", "option"), ALTERNATIVES, ids=lambda value: value)
def test_every_option_of_every_group_composes(group: str, option: str) -> None:
    compose(f"{group}={option}", *NEEDED.get(option, []))


def test_experiments_are_deltas_that_the_command_line_beats() -> None:
    config = compose("experiments=official/ada_ch", "data=faces", "stage.consistency.weight=3")
    assert (config.data.name, config.stage.name) == ("faces", "ada_ch")
    assert (config.stage.consistency.target, config.stage.consistency.weight) == ("teacher", 3)


@pytest.mark.parametrize(("stage", "expected"), [
    ("stylegan2", {"path_length.every": 8, "path_length.weight": 2.0, "kimg": 25000}),
    ("multires", {"path_length.weight": 0.0, "sampled_resolutions": 2, "consistency.weight": 2.0,
                  "consistency.target": "teacher", "consistency.resolutions": "all", "kimg": 1400}),
    ("ada_ch", {"path_length.weight": 0.0, "sampled_resolutions": 2, "consistency.resize": "align_corners",
                "r1.architecture": "fake", "per_rank_architecture": True, "mode": "uniform", "kimg": 9100}),
])
def test_official_experiments_hold_the_official_choices(stage: str, expected: dict) -> None:
    config = compose(f"experiments=official/{stage}")
    shared = {"optimizer.lazy_correction": False, "generator_noise": "batch", "r1.every": 16, "r1.gamma": 10.0,
              "ema_kimg": 10.0, "mixing_probability": 0.9}
    for key, value in {**shared, **expected}.items():
        node = config.stage
        for name in key.split("."):
            node = getattr(node, name)
        assert node == value, key
    assert (config.data.batch_size, config.model.name, config.trainer.precision) == (32, "config_f", "32")


def test_home_is_expanded() -> None:
    assert compose("paths.cache=~/statistics").paths.cache == str(Path.home() / "statistics")


def test_resolved_file_gives_the_same_objects(tmp_path: Path) -> None:
    config = compose("stage=ada_ch", "data=zip", "data.path=a ${paths.logs} [x]=#ü.zip", "data.resolution=64")
    assert config.data.path == "a logs [x]=#ü.zip"
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("text", ["stage: {name: stylegan3}", "stage: {name: stylegan2, kimgg: 3}"])
def test_damaged_resolved_file_is_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"stylegan3.*not one of|stage\.kimgg does not exist"):
        load_config(tmp_path / "config.yaml")
