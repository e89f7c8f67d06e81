"""Which folder a command owns: what renames a run, and what does not."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from anycost.configuration.identity import decides_identity, next_free_run_dir, run_name, safe_name
from anycost.configuration.schema import DataConfig, FeaturesConfig, ModelConfig, ScheduleConfig, TrainConfig
from anycost.configuration.stage_schema import STAGES, AdaChConfig

Runs = Callable[..., list]

CHANGES_NOTHING = [
    "logger.", "callbacks.", "metrics.", "paths.", "schedule.", "features.", "run", "resume", "stage.kimg",
    "data.workers", "data.cache", "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.threads",
    "trainer.max_minutes", "trainer.micro_batch", "trainer.profiler", "cluster.", "table.",
]


def example() -> TrainConfig:
    return TrainConfig(
        stage=AdaChConfig(kimg=1.0),
        data=DataConfig(name="faces", resolution=32),
        model=ModelConfig(name="small", resolution=32),
        schedule=ScheduleConfig("s", 1, 1, 1, 1),
        features=FeaturesConfig("embedded"),
    )


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    for spec in fields(config):
        value = getattr(config, spec.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{spec.name}.")
        else:
            yield f"{prefix}{spec.name}", config, spec.name


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return [*value, "0.5"] if isinstance(value, list) else f"{value}x"


@pytest.mark.parametrize("key", [key for key, _, _ in leaves(example())])
def test_what_renames_a_run(key: str) -> None:
    config = example()
    before = run_name(config)
    owner, name = next((owner, name) for other, owner, name in leaves(config) if other == key)
    setattr(owner, name, changed(getattr(owner, name)))
    keeps = any(key == entry or (entry.endswith(".") and key.startswith(entry)) for entry in CHANGES_NOTHING)
    assert (run_name(config) == before) == keeps
    assert decides_identity(key) != keeps


def test_name_says_stage_and_data() -> None:
    config = example()
    assert run_name(config).startswith("ada_ch-faces-r")
    assert run_name(config) == run_name(copy.deepcopy(config))
    assert run_name(config, ["trainer.devices=2"]) != run_name(config)


def test_all_lengths_of_a_pipeline_may_change() -> None:
    assert not decides_identity("stage.multires.kimg")
    assert decides_identity("stage.multires.r1.gamma")
    assert set(STAGES) == {"stylegan2", "multires", "ada_ch", "msg_gan", "distill", "prune", "attributes", "pipeline"}


@pytest.mark.parametrize("name", ["a=b", "a,b", "a b", "a[b]", "ä(b)"])
def test_names_of_folders_are_plain(name: str) -> None:
    assert not set("=, []()") & set(safe_name(name))


def test_same_command_same_folder(run_all: Runs) -> None:
    ((_, first),) = run_all("stage=ada_ch")
    ((_, more),) = run_all("stage=ada_ch", "stage.kimg=99", "trainer=cpu", "logger=none", "callbacks.throughput=false")
    ((_, other),) = run_all("stage=ada_ch", "seed=1")
    assert first == more != other
    assert first.parts[-4:-1] == ("logs", "train", "runs")


def test_named_and_fresh_runs(run_all: Runs) -> None:
    ((_, named),) = run_all("run=mine")
    ((_, second),) = run_all("run=mine", "resume=never")
    ((_, third),) = run_all("run=mine", "resume=never")
    assert [path.name for path in (named, second, third)] == ["mine", "mine-2", "mine-3"]
    assert next_free_run_dir(named).name == "mine-4"


def test_multirun_continues_and_keeps_its_rows_apart(run_all: Runs) -> None:
    first = [folder for _, folder in run_all("-m", "stage.ada_ch.kimg=1,2", "trainer=cpu")]
    again = [folder for _, folder in run_all("-m", "trainer=gpu", "stage.ada_ch.kimg=1,2", "logger=none")]
    wider = [folder for _, folder in run_all("-m", "stage.ada_ch.kimg=1,2", "seed=4")]
    assert len(set(first)) == 2
    assert set(first) == set(again)
    assert first[0].parent != wider[0].parent
    assert first[0].parts[-4:-2] == ("train", "multiruns")


def test_name_of_a_multirun(run_all: Runs) -> None:
    folders = [folder for _, folder in run_all("-m", "run=my runs", "seed=1,2")]
    assert {folder.parent.name for folder in folders} == {"my_runs"}
    assert len(set(folders)) == 2
