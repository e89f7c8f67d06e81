"""Values are those of a plain loop over all images; kills, processes and records already there change no bit."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from anycost.errors import UserError
from anycost.evaluation import evaluate as story
from anycost.evaluation import shards as files
from anycost.evaluation.evaluate import evaluate, evaluate_in_memory, owned
from anycost.evaluation.planning import Plan
from anycost.evaluation.processes import Team
from anycost.evaluation.progress import Meter
from anycost.metrics.batches import Batch
from anycost.metrics.measures import build_measures
from anycost.metrics.records import Measurement
from anycost.networks.generator import Generator
from anycost.sampling import sample

Planned = Callable[..., Plan]


class Killed(Exception):
    """Stands for kill -9: nothing after it is written."""


class DyingMeter(Meter):
    """Ends the process after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__(quiet=True)
        self.left = batches

    def advance(self, images: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


def values(measurements: list[Measurement]) -> dict[str, float]:
    return {one.key: one.value for one in measurements}


def test_values_are_those_of_a_plain_loop(
    planned: Planned, generator: Generator, source: Any, tmp_path: Path, quiet: Meter
) -> None:
    plan = planned(["frechet20", "kernel17", "consistency12"])
    found = values(evaluate(plan, tmp_path / "out", Team(), quiet))
    full = generator.space.full()
    for measure in build_measures([one.protocol for one in plan.measures]):
        noise, seeds = measure.protocol.noise, measure.protocol.seeds
        target = next(sample(generator, full, seeds, len(seeds), noise=noise)).images
        for label, architecture in plan.subject.architectures.items():
            images = next(sample(generator, architecture, seeds, len(seeds), noise=noise)).images
            state, reals = measure.empty(), measure.real_empty()
            measure.add(state, Batch(images, target), 0)
            if reals is not None:
                at_full = source.render(range(measure.protocol.samples), 16).float()
                side = architecture.resolution
                real = torch.nn.functional.interpolate(at_full, size=(side, side), mode="bilinear", antialias=True)
                measure.add_reals(reals, Batch(real.round().to(torch.uint8)), 0)
            expected = measure.values(state, reals)[""]
            assert found[f"metrics/{measure.protocol.name}_{label}"] == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_memory_and_files_give_the_same_bits(planned: Planned, tmp_path: Path, quiet: Meter) -> None:
    in_files = evaluate(planned(), tmp_path / "out", Team(), quiet)
    assert values(evaluate_in_memory(planned())) == values(in_files)


@pytest.mark.parametrize("batches", [0, 1, 5, 9])
def test_killed_and_continued_equals_uninterrupted(
    batches: int, planned: Planned, tmp_path: Path, quiet: Meter, monkeypatch: pytest.MonkeyPatch, source: Any
) -> None:
    whole = evaluate(planned(), tmp_path / "whole", Team(), quiet)
    for file in (tmp_path / "cache" / "statistics").iterdir():
        file.unlink()
    monkeypatch.setattr(files, "SAVE_EVERY_SEC", -1.0)
    monkeypatch.setattr(files, "_SAVING_SHARE", 1e9)
    kills = 0
    while True:
        before = source.drawn
        try:
            found = evaluate(planned(), tmp_path / "killed", Team(), DyingMeter(batches))
            break
        except Killed:
            kills += 1
        assert source.drawn - before <= 3 * (batches + 1)  # nothing is measured from the start again
        assert kills <= 24
    assert kills == 24 // (batches + 1)  # three passes of 8 shards, one batch each
    assert values(found) == values(whole)
    assert not (tmp_path / "killed" / "work").exists()


def test_what_was_saved_is_not_measured_again(planned: Planned, tmp_path: Path, quiet: Meter) -> None:
    """Without saves in between, whole shards still stay."""
    with pytest.raises(Killed):
        evaluate(planned(["consistency12"]), tmp_path / "out", Team(), DyingMeter(5))
    (folder,) = (tmp_path / "out" / "work").iterdir()
    assert json.loads((folder / "key.json").read_text())["subject"] == "weights-a"
    assert len(list(folder.glob("shard_*.npz"))) == 6  # 12 samples are 8 shards of one batch each; the sixth is whole
    meter = DyingMeter(100)
    evaluate(planned(["consistency12"]), tmp_path / "out", Team(), meter)
    assert meter.left == 98


@pytest.mark.parametrize("size", [2, 3, 9])
def test_processes_that_share_the_work_change_no_bit(size: int, planned: Planned, tmp_path: Path, quiet: Meter) -> None:
    alone = evaluate(planned(), tmp_path / "alone", Team(), quiet)
    for file in (tmp_path / "cache" / "statistics").iterdir():
        file.unlink()
    for rank in reversed(range(size)):
        found = evaluate(planned(), tmp_path / "shared", Team(rank, size), quiet)
        assert bool(found) == (rank == 0)
    assert values(found) == values(alone)


def test_a_late_process_has_nothing_to_do(planned: Planned, tmp_path: Path, quiet: Meter) -> None:
    evaluate(planned(), tmp_path / "out", Team(), quiet)
    evaluate(planned(), tmp_path / "out", Team(1, 2), DyingMeter(0))
    assert not (tmp_path / "out" / "work").exists()


def test_another_command_that_fills_the_cache_while_processes_start_leaves_nobody_waiting(
    planned: Planned, tmp_path: Path, quiet: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Process 1 then finds all statistics of reals there, and measures no shard of them that the leader waits for."""
    alone = evaluate(planned(), tmp_path / "alone", Team(), quiet)
    for file in (tmp_path / "cache" / "statistics").iterdir():
        file.unlink()
    waits = []

    def others_work(seconds: float) -> None:
        waits.append(seconds)
        assert len(waits) < 10, "the leader waits for nobody"
        if len(waits) == 1:
            evaluate(planned(), tmp_path / "other", Team(), Meter(quiet=True))
            evaluate(planned(), tmp_path / "shared", Team(1, 2), Meter(quiet=True))

    monkeypatch.setattr(story, "_TELL_SEC", -1.0)
    monkeypatch.setattr(story.time, "sleep", others_work)
    assert values(evaluate(planned(), tmp_path / "shared", Team(0, 2), quiet)) == values(alone)
    assert not (tmp_path / "shared" / "work").exists()


def test_the_leader_does_what_processes_that_have_ended_left_out(
    planned: Planned, tmp_path: Path, quiet: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = evaluate(planned(), tmp_path / "alone", Team(), quiet)
    for file in (tmp_path / "cache" / "statistics").iterdir():
        file.unlink()
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
        team = Team(0, 2, children=[ended], logs=[tmp_path / "process_1.log"])
        monkeypatch.setattr(story.time, "sleep", lambda seconds: pytest.fail("the leader waits for nobody"))
        assert values(evaluate(planned(), tmp_path / "shared", team, quiet)) == values(alone)


def test_what_another_network_began_is_not_continued(planned: Planned, tmp_path: Path, quiet: Meter) -> None:
    """The embedded network of another version: the values of both would be mixed."""
    (work,) = planned(["consistency12"]).passes([])
    other = planned(["consistency12"])
    other.measures[0].perceptual.network.network.identity = "another"
    (changed,) = other.passes([])
    assert work.work.digest != changed.work.digest


def test_recorded_values_are_not_measured_again(planned: Planned, tmp_path: Path, quiet: Meter, capsys: Any) -> None:
    first = evaluate(planned(), tmp_path / "out", Team(), quiet)
    text = (tmp_path / "out" / "records.jsonl").read_text()
    again = evaluate(planned(), tmp_path / "out", Team(), DyingMeter(0))
    assert again == first
    assert (tmp_path / "out" / "records.jsonl").read_text() == text
    evaluate(planned(), tmp_path / "out", Team(), Meter())
    assert "6 of 6 measurements are in" in capsys.readouterr().out


def test_only_what_is_missing_is_measured(planned: Planned, tmp_path: Path, quiet: Meter) -> None:
    evaluate(planned(["consistency12"], ["0.5"]), tmp_path / "out", Team(), quiet)
    batches = DyingMeter(10**6)
    found = evaluate(planned(["consistency12"], ["0.5", "full@8"]), tmp_path / "out", Team(), batches)
    assert [one.label for one in found] == ["0.5", "full@8"]
    lines = (tmp_path / "out" / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["0.5", "full@8"]
    assert values(found) == values(evaluate_in_memory(planned(["consistency12"], ["0.5", "full@8"])))


@pytest.mark.parametrize("change", [{"identity": "weights-b"}, {"again": True}])
def test_other_weights_and_resume_never_measure_anew(
    change: dict[str, Any], planned: Planned, tmp_path: Path, quiet: Meter
) -> None:
    evaluate(planned(), tmp_path / "out", Team(), quiet)
    again = change.pop("again", False)
    found = evaluate(planned(**change), tmp_path / "out", Team(), quiet, again)
    lines = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    assert len(lines) == 12
    assert {one.weights for one in found} == {lines[-1]["weights"]} == {change.get("identity", "weights-a")}


def test_two_names_of_one_network_are_measured_once(planned: Planned, tmp_path: Path) -> None:
    meter = DyingMeter(10**6)
    found = evaluate(planned(["consistency12"], ["1", "full", "0.5"]), tmp_path / "out", Team(), meter)
    assert [one.label for one in found] == ["1", "full", "0.5"]
    assert found[0].value == found[1].value
    assert len((tmp_path / "out" / "records.jsonl").read_text().splitlines()) == 2
    in_memory = evaluate_in_memory(planned(["consistency12"], ["1", "full", "0.5"]))
    assert values(in_memory) == values(found)


def test_a_record_says_all_that_its_value_depends_on(planned: Planned, tmp_path: Path, quiet: Meter) -> None:
    frechet = evaluate(planned(), tmp_path / "out", Team(), quiet)[0]
    consistency = evaluate(planned(), tmp_path / "out", Team(), quiet)[1]
    assert (frechet.weights, frechet.data) == ("weights-a", "noise-100-drawn16")
    assert (frechet.images, frechet.label) == (5000, "full")
    assert frechet.protocol.name == "frechet20_embedded"
    assert frechet.date.endswith("+00:00")
    assert frechet.version
    assert consistency.data == ""


def test_weights_that_are_not_finite_are_named(
    planned: Planned, generator: Generator, tmp_path: Path, quiet: Meter
) -> None:
    constant = generator.constant.data
    backup = constant.clone()
    try:
        constant[0, 0] = float("nan")
        with pytest.raises(UserError, match=r"sample 0 of full: an image is not finite"):
            evaluate(planned(["frechet20"]), tmp_path / "out", Team(), quiet)
    finally:
        constant.copy_(backup)
    assert not (tmp_path / "out" / "records.jsonl").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"output=.*file/out cannot be written"), owned(tmp_path / "file" / "out"):
        pass


def test_damaged_records_are_named(planned: Planned, tmp_path: Path, quiet: Meter) -> None:
    (tmp_path / "records.jsonl").write_text('{"metric": "fd1k')
    with pytest.raises(UserError, match=r"records\.jsonl is damaged"):
        evaluate(planned(), tmp_path, Team(), quiet)


def test_estimates_come_while_it_works_and_end_at_the_value(
    planned: Planned, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "_ESTIMATE_SHARE", 1e9)
    found = evaluate(planned(["frechet20"], ["full", "0.5"]), tmp_path / "out", Team(), Meter())
    lines = [line for line in capsys.readouterr().out.splitlines() if "so far" in line]
    assert len(lines) >= 8
    full, half = found
    assert f"frechet20_embedded so far (20 images): full {full.value:.4g}, 0.5 {half.value:.4g}" in lines[-1]
    assert "so far (2 images)" in lines[0]
    assert "*" in lines[0]
