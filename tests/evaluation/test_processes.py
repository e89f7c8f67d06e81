"""Who takes which shard, how processes find out who they are, and how local ones end."""

import sys
from pathlib import Path

import psutil
import pytest

from anycost.errors import UserError
from anycost.evaluation.processes import Team, launched_team, local_team

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS",
         "SLURM_LOCALID")  # fmt: skip


@pytest.fixture(autouse=True)
def _nobody_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("environment", "expected"), [
    ({}, None),
    ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, (5, 8, 1)),
    ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0", "SLURM_LOCALID": "1"}, (3, 4, 1)),
    ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),  # a batch script beside its srun steps
    ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}, None),
    ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_STEP_ID": "0", "RANK": "1", "WORLD_SIZE": "2"}, (1, 2, 0)),
])
def test_a_launcher_says_who_this_process_is(
    environment: dict[str, str], expected: tuple[int, int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    team = launched_team()
    assert (None if team is None else (team.rank, team.size, team.local_rank)) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 8, 11])
def test_every_shard_belongs_to_one_process(size: int) -> None:
    owners = [[rank for rank in range(size) if Team(rank, size).takes(unit)] for unit in range(24)]
    assert all(len(found) == 1 for found in owners)
    assert Team(0, size).leads
    assert not Team(1, 2).leads


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a shell script that further processes run instead of the evaluation; to be filled by the test."""
    path = tmp_path / "child"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    return path


def test_children_get_the_arguments_and_their_rank(program: Path, tmp_path: Path) -> None:
    program.write_text(f'#!/bin/sh\necho "$RANK of $WORLD_SIZE: $*" > {tmp_path}/said_$LOCAL_RANK\n')
    with local_team(3, "anycost.commands.evaluate", ["weights=a b", "metrics=[x]"], tmp_path / "logs") as team:
        assert (team.rank, team.size) == (0, 3)
    for rank in (1, 2):
        said = (tmp_path / f"said_{rank}").read_text()
        assert said == f"{rank} of 3: -m anycost.commands.evaluate weights=a b metrics=[x]\n"
    assert not (tmp_path / "logs").exists()


def test_last_words_of_a_child_that_fails(program: Path, tmp_path: Path) -> None:
    program.write_text("#!/bin/sh\necho out of memory; exit 3\n")
    with pytest.raises(UserError, match=r"process 1 of this evaluation ended with status 3; the end of .*\nout of mem"):
        wait_and_check(tmp_path / "logs")


def wait_and_check(logs: Path) -> None:
    with local_team(2, "m", [], logs) as team:
        team.children[0].wait()
        team.check()


def test_children_end_with_an_error_of_the_first(program: Path, tmp_path: Path) -> None:
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    pids: list[int] = []
    with pytest.raises(ValueError, match="mine"):
        fail_with_child(tmp_path / "logs", pids)
    assert not psutil.pid_exists(pids[0])


def fail_with_child(logs: Path, pids: list[int]) -> None:
    with local_team(2, "m", [], logs) as team:
        pids.append(team.children[0].pid)
        raise ValueError("mine")
