"""Seeds are taken together where nothing else differs; what may share a column, and which value is best."""

from collections.abc import Callable, Sequence
from math import isnan, sqrt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycost.metrics.records import Measurement
from anycost.reporting.gather import RunResults, gather
from anycost.reporting.groups import Group, Quantity, group_runs, is_better, quantities, together

Measure = Callable[..., Measurement]
RUN = RunResults("one", Path("one"))


def grouped(*folders: Path) -> list[Group]:
    return group_runs(gather(list(map(str, folders))))


def only_quantity(groups: Sequence[Group]) -> Quantity:
    (quantity,) = quantities([run for group in groups for run in group.runs])
    return quantity


def test_runs_that_differ_by_the_seed_only_are_one_group(make_run: Callable[..., Path], tmp_path: Path) -> None:
    values = [3.0, 4.0, 8.0]
    for seed, value in enumerate(values):
        make_run(f"sweep/{seed}", {"full": {1000: 2 * value, 2000: value}, "0.5": {2000: 1.0}}, seed=seed)
    (group,) = grouped(tmp_path / "sweep")
    assert group.label() == "sweep (3 seeds)"
    last = group.last(only_quantity([group]))
    assert last["full"].mean == pytest.approx(5.0)
    assert last["full"].std == pytest.approx(sqrt(((3 - 5) ** 2 + (4 - 5) ** 2 + (8 - 5) ** 2) / 2))
    assert (last["full"].count, last["full"].kimg) == (3, 2.0)
    assert last["0.5"].std == 0
    curve = group.curve(only_quantity([group]), "full")
    assert [(one.kimg, one.mean) for one in curve] == [(1.0, 10.0), (2.0, 5.0)]


def test_a_setting_that_differs_splits_and_names_the_groups(make_run: Callable[..., Path], tmp_path: Path) -> None:
    for seed in (0, 1):
        for mode in ("uniform", "flexible"):
            make_run(f"sweep/{mode}{seed}", {"full": {2000: 1.0}}, seed=seed, stage={"mode": mode})
    assert [group.label() for group in grouped(tmp_path / "sweep")] == [
        "mode=flexible (2 seeds)", "mode=uniform (2 seeds)",
    ]  # fmt: skip


def test_averaged_weights_and_others_are_no_seeds_of_each_other(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    for seed, enabled in enumerate((True, True, False)):
        config = make_run(f"sweep/{seed}", {"full": {2000: 1.0}}, seed=seed) / "config.yaml"
        callbacks = f"callbacks: {{ema: {{enabled: {str(enabled).lower()}}}, progress: 'p{seed}'}}\n"
        config.write_text(config.read_text() + callbacks)
    assert [len(group.runs) for group in grouped(tmp_path / "sweep")] == [2, 1]


def test_a_seed_that_was_run_twice_is_no_second_sample(make_run: Callable[..., Path]) -> None:
    folders = [make_run(name, {"full": {2000: 1.0}}, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    assert [[run.name for run in group.runs] for group in grouped(*folders)] == [["a", "c"], ["b"]]


def test_names_of_groups_differ(make_run: Callable[..., Path]) -> None:
    """Where a seed was run twice, the settings that vary do not tell all groups apart."""
    asked = [("a", 0, "uniform"), ("b", 0, "uniform"), ("c", 1, "uniform"), ("d", 0, "flexible")]
    folders = [make_run(name, {"full": {2000: 1.0}}, seed, {"mode": mode}) for name, seed, mode in asked]
    assert [group.name for group in grouped(*folders)] == ["a", "b", "d"]


def test_numbers_of_two_networks_share_no_column(measurement: Measure) -> None:
    """The embedded network of another version is another judge."""
    lines = [measurement("full", 1, 1.0, network=f"embedded-{number}") for number in (1, 2, 2)]
    assert len({Quantity.of(line, RUN) for line in lines}) == 2


def test_runs_of_other_lengths_stand_alone(make_run: Callable[..., Path]) -> None:
    whole = make_run("whole", {"full": {2000: 1.0}}, seed=0)
    short = make_run("short", {"full": {1000: 1.0}}, seed=1, images=1000)
    assert [group.label() for group in grouped(whole, short)] == ["whole", "short"]


def test_stages_of_pipelines_that_start_from_their_own_pipeline_are_seeds(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    for seed in (0, 1):
        start = tmp_path / f"sweep/{seed}/multires/weights.safetensors"
        make_run(f"sweep/{seed}/ada_ch", {"full": {2000: 1.0}}, seed=seed, init_from=str(start))
    assert len(grouped(tmp_path / "sweep")) == 1
    elsewhere = make_run("other/2/ada_ch", {"full": {2000: 1.0}}, seed=2, init_from="/elsewhere/weights.safetensors")
    assert len(grouped(tmp_path / "sweep", elsewhere)) == 2


def test_one_seed_has_no_deviation(make_run: Callable[..., Path]) -> None:
    (group,) = grouped(make_run("one", {"full": {2000: 1.0}}))
    assert isnan(group.last(only_quantity([group]))["full"].std)


def test_protocols_parts_and_data_never_share_a_quantity(measurement: Measure) -> None:
    lines = [
        measurement("full", 1, 1.0), measurement("full", 1, 1.0, "fd5k_embedded"),
        measurement("full", 1, 1.0, data="other"), measurement("full", 1, 1.0, "pr5k3_embedded", part="precision"),
        measurement("full", 1, 1.0, "pr5k3_embedded", part="recall"), measurement("0.5", 2, 2.0),
    ]  # fmt: skip
    assert len({Quantity.of(line, RUN) for line in lines}) == 5


def test_what_needs_no_reals_is_compared_on_the_same_data_and_resolution_only(
    make_run: Callable[..., Path], measurement: Measure
) -> None:
    """Pictures of 32 and of 64 px, of faces and of cars, and of the same faces in larger batches."""
    changes = {"a": ("", ""), "b": ("resolution: 32", "resolution: 64"), "c": ("name: faces", "name: cars"),
               "d": ("name: faces", "name: faces\n  batch_size: 64"),
               "e": ("name: faces", "name: faces\n  filter: box")}  # fmt: skip
    runs = {}
    for seed, (name, change) in enumerate(changes.items()):
        # as earlier versions wrote it, with the data of the stage
        folder = make_run(name, [measurement("full", 2000, 0.5, "consistency_embedded", data="faces-1")], seed=seed)
        (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace(*change))
        (runs[name],) = gather([str(folder)])
    quantity = {name: quantities([run])[0] for name, run in runs.items()}
    assert quantity["a"] == quantity["d"]
    assert len(set(quantity.values())) == 4
    assert [quantity[name].scope for name in "abc"] == ["faces at 32 px", "faces at 64 px", "cars at 32 px"]


def test_what_needs_no_reals_and_has_no_configuration_is_compared_by_weights(measurement: Measure) -> None:
    lines = [measurement("full", 0, 0.5, "consistency_embedded", weights=weights) for weights in ("ab", "cd", "cd")]
    assert len({Quantity.of(line, RUN) for line in lines}) == 2


def test_best_follows_the_direction_of_the_metric(make_run: Callable[..., Path], measurement: Measure) -> None:
    values = {1000: 0.3, 1500: 0.9, 2000: 0.5}
    for protocol, part, best in (("fd1k_embedded", "", 0.3), ("pr5k3_embedded", "recall", 0.9)):
        lines = [measurement("full", images, value, protocol, part=part) for images, value in values.items()]
        (group,) = grouped(make_run(protocol, lines))
        assert group.best(only_quantity([group]))["full"].mean == best
        assert group.last(only_quantity([group]))["full"].mean == 0.5


def test_later_lines_replace_earlier_ones_of_the_same_instant(
    make_run: Callable[..., Path], measurement: Measure
) -> None:
    (group,) = grouped(make_run("one", [measurement("full", 2000, 5.0), measurement("full", 2000, 4.0)]))
    quantity = only_quantity([group])
    assert group.last(quantity)["full"].mean == 4.0
    assert len(group.curve(quantity, "full")) == 1


@given(values=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8))
def test_together_is_the_textbook_mean_and_deviation(values: list[float], measurement: Measure) -> None:
    found = together([measurement("full", 1000, value) for value in values])
    mean = sum(values) / len(values)
    assert found.mean == pytest.approx(mean, abs=1e-9)
    assert found.std**2 * (len(values) - 1) == pytest.approx(sum((one - mean) ** 2 for one in values), abs=1e-6)


def test_is_better(measurement: Measure) -> None:
    low, high = (measurement("full", 1, value) for value in (1.0, 2.0))
    assert is_better(low, high)
    assert not is_better(high, low)
    assert not is_better(low, low)
