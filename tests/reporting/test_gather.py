"""Folders that reports are made of: what is found, in which order, and what is said where there is nothing."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.commands.evaluate import write_generator
from anycost.errors import UserError
from anycost.interchange.weights import Header, write_weights
from anycost.metrics.records import Measurement, write_measurements
from anycost.networks.generator import Generator
from anycost.pricing.price_list import PriceList
from anycost.reporting.gather import gather
from anycost.reporting.report import write_report

Measure = Callable[..., Measurement]

ONE = {"full": {2000: 3.0}}


def test_a_run_holds_what_its_files_say(make_run: Callable[..., Path], measurement: Measure) -> None:
    folder = make_run("one", {"full": {1000: 3.0, 2000: 2.0}}, seed=7)
    write_measurements(folder / "evaluation" / "records.jsonl", [measurement("0.5", 2000, 4.0, weights="ab")])
    (run,) = gather([str(folder)])
    assert (run.name, run.stage, run.kimg, run.seed) == ("one", "ada_ch", 2.0, 7)
    assert [(one.label, one.images, one.value) for one in run.measurements] == [
        ("full", 1000, 3.0), ("full", 2000, 2.0), ("0.5", 2000, 4.0),
    ]  # fmt: skip
    assert len(run.rows) == 2
    assert run.grid is not None
    assert run.grid.name == "kimg_000002.000.png"
    assert run.weights == ""


def test_prices_come_from_the_weights_file_where_there_is_one(
    make_run: Callable[..., Path], space: ArchitectureSpace
) -> None:
    folder = make_run("one", ONE)
    (by_config,) = gather([str(folder)])
    header = Header("training", {"resolution": 32, "channels": [8] * 8}, {"latent_dim": 16, "mapping_layers": 1})
    write_weights(folder / "weights.safetensors", {}, header)
    (by_header,) = gather([str(folder)])
    assert by_config.prices is not None
    assert by_config.prices.space.full_channels == space.full_channels
    assert by_header.prices is not None
    assert by_header.prices.space.full_channels == (8,) * 8
    assert (by_header.prices.latent_dim, by_header.prices.mapping_layers) == (16, 1)
    assert len(by_header.weights) == 16


def test_a_pipeline_is_its_stages_in_their_order_without_those_set_aside(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    for stage in ("ada_ch", "multires", "stylegan2", "multires-before"):
        make_run(f"pipe/{stage}", ONE)
    (tmp_path / "pipe" / "config.yaml").write_text("seed: 0\n")
    assert [run.name for run in gather([str(tmp_path / "pipe")])] == [
        "pipe/stylegan2", "pipe/multires", "pipe/ada_ch",
    ]  # fmt: skip


def test_a_multirun_is_its_runs_and_their_stages(make_run: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("sweep/10", "sweep/2", "sweep/3/stylegan2", "sweep/3/ada_ch"):
        make_run(name, ONE)
    names = [run.name for run in gather([str(tmp_path / "sweep")])]
    assert names == ["sweep/2", "sweep/3/stylegan2", "sweep/3/ada_ch", "sweep/10"]


def test_a_folder_named_twice_counts_once(make_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_run("pipe/ada_ch", ONE)
    runs = gather([str(folder), str(tmp_path / "pipe"), f"{folder}/../ada_ch"])
    assert [run.name for run in runs] == ["ada_ch"]


def test_equal_names_get_parents_until_they_differ(make_run: Callable[..., Path]) -> None:
    folders = [make_run(name, ONE) for name in ("a/x/run", "b/x/run", "other")]
    assert [run.name for run in gather(list(map(str, folders)))] == ["a/x/run", "b/x/run", "other"]


def test_an_evaluation_outside_a_run(tmp_path: Path, measurement: Measure) -> None:
    write_measurements(tmp_path / "evaluate" / "records.jsonl", [measurement("full", 0, 1.0)])
    (run,) = gather([str(tmp_path / "evaluate")])
    assert (run.name, run.stage, run.seed, run.prices) == ("evaluate", "", None, None)
    assert len(run.measurements) == 1


def test_an_evaluation_outside_a_run_is_priced_by_what_it_says_of_its_generator(
    tmp_path: Path, measurement: Measure
) -> None:
    folder = tmp_path / "evaluate"
    write_measurements(folder / "records.jsonl", [measurement("full", 0, 1.0)])
    generator = Generator(ArchitectureSpace(32, 0.125, 64, 3), latent_dim=16, mapping_layers=1)
    write_generator(generator, folder)
    (run,) = gather([str(folder)])
    assert run.prices is not None
    price = run.prices.price(generator.space.uniform(0.5))
    assert price == PriceList(generator.space, 16, 1).price(generator.space.uniform(0.5))


def message(*paths: object) -> str:
    with pytest.raises(UserError) as error:
        gather([str(path) for path in paths])
    return str(error.value)


def test_errors_say_what_to_do(make_run: Callable[..., Path], tmp_path: Path) -> None:
    assert "needs the folder of a run" in message()
    assert f"{tmp_path / 'no'} does not exist" in message(tmp_path / "no")
    trained = make_run("trained")
    assert f"give the folder of a run: {trained}" in message(trained / "run.json")
    assert "metrics.every_kimg" in message(trained)
    write_weights(trained / "weights.safetensors", {}, Header("training"))
    assert f"anycost evaluate weights={trained} measures" in message(trained)
    for seed in ("s0", "s1"):
        write_weights(make_run(f"sweep/{seed}") / "weights.safetensors", {}, Header("training"))
    assert f"anycost evaluate weights={tmp_path / 'sweep' / 's1'} measures" in message(tmp_path / "sweep")
    (tmp_path / "empty").mkdir()
    assert "nothing has been measured" in message(tmp_path / "empty")


@pytest.mark.parametrize("file", ["metrics.jsonl", "run.json", "config.yaml", "search/x/result.json"])
def test_broken_files_are_named(make_run: Callable[..., Path], file: str) -> None:
    folder = make_run("one", ONE)
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text('{"torn": [')
    assert str(folder / file) in message(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [("run.json", "[]"), ("config.yaml", "hello"), ("config.yaml", "model: {resolution: 32}"), ("config.yaml", "- a"),
     ("metrics.csv", "a,b\n1,2\n"), ("metrics.csv", "images,kimg\n1,x\n"), ("search/x/result.json", "[]"),
     ("search/front_kimg_1.json", "[]"), ("generator.json", '{"space": 5}')],
)  # fmt: skip
def test_files_of_another_content_are_named(make_run: Callable[..., Path], file: str, content: str) -> None:
    folder = make_run("one", ONE)
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(content)
    assert str(folder / file) in message(folder)


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"3.0"', "null"])
def test_a_value_that_is_no_number_is_named(make_run: Callable[..., Path], value: str) -> None:
    folder = make_run("one", ONE)
    path = folder / "metrics.jsonl"
    path.write_text(path.read_text().replace('"value": 3.0', f'"value": {value}'))
    assert str(path) in message(folder)


def test_a_grid_that_is_no_picture_is_named(make_run: Callable[..., Path]) -> None:
    folder = make_run("one", ONE)
    grid = folder / "grids" / "kimg_000002.000.png"
    grid.write_bytes(grid.read_bytes()[:40])
    with pytest.raises(UserError, match=re.escape(str(grid))):
        write_report([str(folder)])


def test_what_is_no_architecture_of_the_generator_has_no_price(
    make_run: Callable[..., Path], measurement: Measure, space: ArchitectureSpace
) -> None:
    """Pictures that were measured into the run's folder, and lines of another generator."""
    full = space.full()
    strange = [Architecture(32, (), ()), replace(full, channels=full.channels[:-1]), replace(full, resolution=64),
               replace(full, channels=(*full.channels[:-1], 1024))]  # fmt: skip
    lines = [replace(measurement("full", 2000, 1.0), label=str(k), architecture=one) for k, one in enumerate(strange)]
    folder = make_run("one", [measurement("full", 2000, 1.0), *lines])
    (run,) = gather([str(folder)])
    assert [run.price(one.architecture) is None for one in run.measurements] == [False, True, True, True, True]
    assert write_report([str(folder)]).count == 5


def test_a_line_without_a_field_is_named(make_run: Callable[..., Path]) -> None:
    folder = make_run("one", ONE)
    line = json.loads((folder / "metrics.jsonl").read_text())
    del line["value"]
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    assert str(folder / "metrics.jsonl") in message(folder)
