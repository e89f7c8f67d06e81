"""Architectures as values: text forms, JSON, canonical form, sampling, counting, over random spaces."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError

MODES = ("uniform", "flexible", "sandwich")
SPACE = ArchitectureSpace(resolution=64, multiplier=0.25, channel_cap=128, num_resolutions=4)


@st.composite
def spaces(draw: st.DrawFn) -> ArchitectureSpace:
    resolution = draw(st.sampled_from([8, 16, 32]))
    return ArchitectureSpace(
        resolution=resolution,
        multiplier=draw(st.sampled_from([0.02, 0.05, 0.125, 0.3])),
        channel_cap=draw(st.sampled_from([12, 20, 32, 50])),
        num_resolutions=draw(st.integers(1, resolution.bit_length() - 2)),
        min_channels=draw(st.sampled_from([1, 4, 8])),
        divided_by=draw(st.sampled_from([1, 4, 8])))


def at_8px(space: ArchitectureSpace) -> ArchitectureSpace:
    """The same options for an 8 px model, whose architectures are few enough to list."""
    return replace(space, resolution=8, num_resolutions=min(space.num_resolutions, 2))


@st.composite
def architectures(draw: st.DrawFn) -> tuple[ArchitectureSpace, Architecture]:
    space = draw(spaces())
    rng = random.Random(draw(st.integers(0, 999)))
    return space, space.sample(rng, draw(st.sampled_from(MODES)), draw(st.sampled_from(space.resolutions)))


@given(architectures())
def test_json_round_trip(drawn: tuple[ArchitectureSpace, Architecture]) -> None:
    _, architecture = drawn
    assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture
    assert hash(Architecture.from_json(architecture.to_json())) == hash(architecture)


@given(architectures())
def test_canonical_keeps_what_runs_and_fills_the_rest(drawn: tuple[ArchitectureSpace, Architecture]) -> None:
    space, architecture = drawn
    canonical = space.canonical(architecture)
    executed = 2 * (architecture.resolution.bit_length() - 2)
    assert space.canonical(canonical) == canonical
    assert canonical.resolution == architecture.resolution
    assert canonical.channels[:executed] == architecture.channels[:executed]
    assert canonical.channels[executed:] == space.full_channels[executed:]


@given(architectures())
def test_points_above_the_resolution_do_not_count(drawn: tuple[ArchitectureSpace, Architecture]) -> None:
    space, architecture = drawn
    low = space.resolutions[0]
    executed = 2 * (low.bit_length() - 2)
    other = architecture.channels[:executed] + space.full_channels[executed:]
    assert space.canonical(space.from_channels(other, low)) == space.canonical(
        space.from_channels(architecture.channels, low))


@given(architectures())
def test_code_is_one_hot_per_point(drawn: tuple[ArchitectureSpace, Architecture]) -> None:
    space, architecture = drawn
    code = space.one_hot(architecture)
    assert len(code) == 4 * len(space.full_channels)
    for point, ratio in enumerate(architecture.ratios):
        assert sum(code[4 * point:4 * point + 4]) == 1
        assert code[4 * point + space.ratios.index(ratio)] == 1


@given(spaces(), st.sampled_from(MODES))
def test_count_is_the_number_of_distinct_architectures(space: ArchitectureSpace, mode: str) -> None:
    small = at_8px(space)
    found = list(small.enumerate(mode))
    assert small.count(mode) == len(set(found)) == len(found)
    assert all(architecture == small.canonical(architecture) for architecture in found)


@given(spaces(), st.sampled_from(MODES), st.integers(0, 999))
def test_samples_are_members_of_the_space(space: ArchitectureSpace, mode: str, seed: int) -> None:
    small = at_8px(space)
    members, rng = set(small.enumerate(mode)), random.Random(seed)
    for resolution in small.resolutions:
        architecture = small.sample(rng, mode, resolution)
        assert architecture.resolution == resolution
        assert small.canonical(architecture) in members


@given(architectures(), st.integers(0, 999))
def test_children_are_flexible_members(drawn: tuple[ArchitectureSpace, Architecture], seed: int) -> None:
    space, first = drawn
    rng = random.Random(seed)
    second = space.sample(rng, "flexible")
    for child in (space.mutate(rng, first, 0.5), space.crossover(rng, first, second)):
        assert child == space.from_ratios(child.ratios, child.resolution)
        assert child.resolution in space.resolutions
        assert all(ratio in space.allowed_ratios(point) for point, ratio in enumerate(child.ratios))


@given(spaces(), st.integers(0, 999))
def test_mutation_at_rate_zero_changes_nothing(space: ArchitectureSpace, seed: int) -> None:
    rng = random.Random(seed)
    flexible = space.sample(rng, "flexible", rng.choice(space.resolutions))
    assert space.canonical(space.mutate(rng, flexible, 0.0)) == space.canonical(flexible)


@given(spaces(), st.integers(0, 999))
def test_crossover_of_equals_is_the_same(space: ArchitectureSpace, seed: int) -> None:
    rng = random.Random(seed)
    flexible = space.sample(rng, "flexible", rng.choice(space.resolutions))
    assert space.canonical(space.crossover(rng, flexible, flexible)) == space.canonical(flexible)


@given(spaces(), st.integers(0, 999))
def test_crossover_takes_each_gene_from_a_parent(space: ArchitectureSpace, seed: int) -> None:
    rng = random.Random(seed)
    parents = [space.sample(rng, "flexible") for _ in range(2)]
    child = space.crossover(rng, *parents)
    assert all(count in {parent.channels[point] for parent in parents}
               for point, count in enumerate(child.channels))


def test_same_random_state_same_architecture() -> None:
    draws = [[SPACE.sample(random.Random(7), mode) for mode in MODES] for _ in range(2)]
    assert draws[0] == draws[1]


def test_sandwich_draws_full_smallest_and_flexible_in_the_published_shares() -> None:
    rng, config_e = random.Random(0), ArchitectureSpace(resolution=1024)
    drawn = [config_e.sample(rng, "sandwich") for _ in range(2000)]
    full = sum(architecture == config_e.full() for architecture in drawn) / 2000
    smallest = sum(architecture == config_e.uniform(0.25) for architecture in drawn) / 2000
    assert full == pytest.approx(0.25, abs=0.04)
    assert smallest == pytest.approx(0.25, abs=0.04)


def test_uniform_draws_all_ratios_alike() -> None:
    rng = random.Random(0)
    drawn = [SPACE.sample(rng, "uniform").ratios[0] for _ in range(2000)]
    for ratio in SPACE.ratios:
        assert drawn.count(ratio) / 2000 == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(("text", "ratio", "resolution"), [
    ("full", 1, 64), ("0.5", 0.5, 64), ("0.5@32", 0.5, 32), ("full@16", 1, 16), ("1@8", 1, 8), ("1.0", 1, 64),
    (" 0.25 ", 0.25, 64),
])
def test_text_forms(text: str, ratio: float, resolution: int) -> None:
    assert SPACE.parse(text) == SPACE.uniform(ratio, resolution)


@pytest.mark.parametrize("text", [
    "", "half", "0.3", "-0.5", "nan", "inf", "0.5@", "0.5@x", "0.5@48", "0.5@128", "0.5@0", "@32",
    "0.5@32@32", "missing.json",
])
def test_bad_text_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        SPACE.parse(text)


@pytest.mark.parametrize("form", ["{file}", "{file}:only"])
def test_file_with_one_named_entry(tmp_path: Path, form: str) -> None:
    counts = [24] * SPACE.num_points
    file = tmp_path / "searched.json"
    file.write_text(json.dumps({"only": {"channels": counts, "res": 32, "dist": 0.1, "macs": 5}}))
    assert SPACE.parse(form.format(file=file)) == SPACE.from_channels(counts, 32)


def test_file_with_several_entries_wants_a_name(tmp_path: Path) -> None:
    file = tmp_path / "two of them.json"
    entries = {"15G": {"channels": [16] * 10, "res": 16}, "18G": {"channels": [32] * 10, "res": 64}}
    file.write_text(json.dumps(entries))
    assert SPACE.parse(f"{file}:18G") == SPACE.from_channels([32] * 10, 64)
    with pytest.raises(UserError, match="15G"):
        SPACE.parse(str(file))
    with pytest.raises(UserError, match="18G"):
        SPACE.parse(f"{file}:24G")
    assert list(SPACE.parse_all(str(file))) == ["15G", "18G"]
    with pytest.raises(UserError, match=r"two of them\.json does not fit this generator: 10 channel counts were given"):
        ArchitectureSpace(32).parse_all(str(file))


@pytest.mark.parametrize("sample", range(4))
def test_file_of_an_architecture_round_trips(tmp_path: Path, sample: int) -> None:
    architecture = SPACE.sample(random.Random(sample), "sandwich", 32)
    file = tmp_path / "one.json"
    file.write_text(json.dumps(architecture.to_json()))
    assert SPACE.parse(str(file)) == architecture


@pytest.mark.parametrize("content", [
    "", "[1, 2]", "3", '{"a": 3}', '{"channels": [1, 2]}', '{"channels": "many"}', '{"channels": 7}', "{}",
    '{"channels": [16, 16, 16, 16, 16, 16, 16, 16, 16, 16], "res": 48}',
    '{"channels": [16, 16, 16, 16, 16, 16, 16, 16, 16, 16], "res": "big"}',
    '{"channels": [16, 16, 16, 16, 16, 16, 16, 16, 16, "x"]}',
    '{"channels": [16, 16, 16, 16, 16, 16, 16, 16, 16, 16], "ratios": [1]}',
    '{"channels": [16, 16, 16, 16, 16, 16, 16, 16, 16, 16], "ratios": [0.3, 1, 1, 1, 1, 1, 1, 1, 1, 1]}',
])
def test_bad_files_are_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(content)
    with pytest.raises(UserError):
        SPACE.parse(str(file))


def test_label_parses_back_or_is_unique() -> None:
    for text in ("full", "0.5", "0.25@32", "full@16"):
        assert SPACE.label(SPACE.parse(text)) == text
    drawn = [SPACE.sample(random.Random(seed), "flexible") for seed in range(50)]
    labels = {SPACE.label(architecture) for architecture in drawn}
    assert len(labels) == len({architecture.key for architecture in drawn}) > 40
    assert not any(set(label) & set("=, []") for label in labels)


def test_lists_keep_every_architecture_whatever_the_files_are_called(tmp_path: Path) -> None:
    """Searches leave equal names in equal file names: `18G` of `result.json`."""
    counts = {"one": 0.25, "two": 0.5, "three": 0.75}
    for folder, ratio in counts.items():
        (tmp_path / folder).mkdir()
        entry = {"channels": list(SPACE.uniform(ratio).channels), "res": 64}
        (tmp_path / folder / "result.json").write_text(json.dumps({"18G": entry}))
    texts = [f"{tmp_path}/one/result.json", f"{tmp_path}/two/result.json:18G", f"{tmp_path}/three/result.json"]
    found = SPACE.parse_list(["full", *texts, texts[0]])
    assert list(found) == ["full", "18G", "result:18G", "three/result:18G"]
    assert [one.channels for one in found.values()] == [SPACE.uniform(r).channels for r in (1.0, *counts.values())]
