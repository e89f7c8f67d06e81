"""The files of a sweep survive kills and tell what is wrong with them."""

from pathlib import Path

import pytest

from anycost.configuration.composition import compose
from anycost.configuration.lineage import dependencies
from anycost.errors import UserError
from anycost.sweeps.record import (
    Job,
    Submission,
    Sweep,
    append_submission,
    latest_submission,
    read_submissions,
    read_sweep,
    spans_of,
    telling,
    write_sweep,
)

JOBS = [Job(0, ["seed=0", "stage=multires"], "a-r0", 0, "base", []), Job(3, ["seed=1"], "b-r1", 1, None, [0])]


def test_a_sweep_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_sweep(Sweep(tmp_path, ["anycost", "train"], JOBS, cwd="/work"))
    read = read_sweep(tmp_path)
    assert (read.jobs, read.command, read.cwd, read.name) == (JOBS, ["anycost", "train"], "/work", tmp_path.name)
    write_sweep(Sweep(tmp_path, [], JOBS[:1]))
    assert read_sweep(tmp_path).created == read.created
    with pytest.raises(UserError, match="has no job 3; its jobs are 0"):
        read_sweep(tmp_path).job(3)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"command": [], "created": ""}', '{"command": [], "created": "", "jobs": [{"index": 0}]}',
     '{"command": [], "created": "", "jobs": [{"index": 0, "overrides": [], "folder": "../other"}]}'],
)  # fmt: skip
def test_damaged_sweeps_are_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(UserError, match=r"sweep\.json is damaged .* writes it anew"):
        read_sweep(tmp_path)
    with pytest.raises(UserError, match="is not the folder of a sweep"):
        read_sweep(tmp_path / "absent")


def test_torn_lines_cost_only_themselves(tmp_path: Path) -> None:
    entries = [Submission("t", "slurm", str(number), "host", [number, 7]) for number in range(3)]
    append_submission(tmp_path, entries[0])
    with (tmp_path / "submissions.jsonl").open("a") as file:
        file.write('{"time": "2026", "exec')  # a kill
    append_submission(tmp_path, entries[1])
    append_submission(tmp_path, entries[2])
    read = read_submissions(tmp_path)
    assert read == entries
    assert latest_submission(read, 7) == entries[2]
    assert latest_submission(read, 1) == entries[1]
    assert latest_submission(read, 5) is None
    assert read_submissions(tmp_path / "absent") == []


@pytest.mark.parametrize(("indices", "text"), [([0], "0"), ([3, 1, 2], "1-3"), ([0, 2, 3, 7], "0,2-3,7"), ([], "")])
def test_spans(indices: list[int], text: str) -> None:
    assert spans_of(indices) == text


def test_rows_are_told_apart_by_what_differs() -> None:
    rows = [["a=1", "seed=0"], ["a=1", "seed=1"]]
    assert telling(rows[1], rows) == "seed=1"
    assert telling(["a=1"], [["a=1"]]) == ""


def test_runs_come_after_those_whose_weights_they_need(tmp_path: Path) -> None:
    """By row and seed, by folder, by what init_from=auto would find; others are not waited for."""

    def run(stage: str, name: str, *options: str) -> tuple:
        return compose(f"stage={stage}", *options), tmp_path / name

    base = [run("stylegan2", f"base{seed}", "table.row=base", f"seed={seed}") for seed in (0, 1)]
    runs = [
        run("ada_ch", "row", "init_from=row:base", "seed=1"),
        run("multires", "auto", "seed=0"),
        *base,
        run("ada_ch", "path", f"init_from={tmp_path}/base0/weights.safetensors"),
        run("multires", "other", "seed=0", "model.latent_dim=16"),
        run("distill", "student", "stage.teacher=row:base", "seed=1", "init_from=none"),
        run("ada_ch", "scratch", "init_from=none"),
    ]
    assert dependencies(runs) == [[3], [2], [], [], [2], [], [3], []]


def test_runs_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    runs = [(compose("stage=ada_ch", f"table.row={own}", f"init_from=row:{other}"), tmp_path / own)
            for own, other in (("a", "b"), ("b", "a"))]
    with pytest.raises(UserError, match="the runs 0, 1 of the sweep start from each other"):
        dependencies(runs)
    with pytest.raises(UserError, match="row:a is the row itself"):
        dependencies([(compose("stage=ada_ch", "table.row=a", "init_from=row:a"), tmp_path / "a")])
