"""Processes that srun started are those of the run, and find each other; anything else is an error in words."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from anycost.configuration.composition import compose
from anycost.configuration.schema import TrainConfig, TrainerConfig
from anycost.errors import UserError
from anycost.training.devices import set_threads
from anycost.training.distributed import check_launcher, joined_processes, process_rank, started_elsewhere
from anycost.training.slurm_step import check_step, first_name, meeting_point, read_step

Started = Callable[..., None]

BATCH = {"SLURM_JOB_ID": "12", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1",
         "SLURM_NODELIST": "n1", "SLURM_TASKS_PER_NODE": "2"}
"""What a batch script has, and a python in it that no srun started."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """`started(tasks, nodes, node, local)`: be one of the processes that srun started, dealt out in turns."""
    for name in [name for name in os.environ if name.startswith(("SLURM", "MASTER_", "LOCAL_RANK", "TORCHELASTIC"))]:
        monkeypatch.delenv(name)

    def install(tasks: int, nodes: int = 1, node: int = 0, local: int = 0, layout: str | None = None) -> None:
        step = {"STEP_NUM_TASKS": tasks, "STEP_NUM_NODES": nodes, "STEP_ID": 0, "NODEID": node, "LOCALID": local,
                "PROCID": local * nodes + node, "STEP_NODELIST": "n[1-2]" if nodes == 2 else "n1",
                "STEP_TASKS_PER_NODE": layout or f"{tasks // nodes}(x{nodes})"}
        for name, value in {**BATCH, **{f"SLURM_{key}": str(value) for key, value in step.items()}}.items():
            monkeypatch.setenv(name, value)

    return install


def config(devices: int = 1, nodes: int = 1, **options: str) -> TrainConfig:
    """Of a run of that many processes."""
    return compose("data.batch_size=32", "stage=stylegan2", f"trainer.devices={devices}", f"trainer.num_nodes={nodes}",
                   *(f"{key}={value}" for key, value in options.items()))


def test_ranks_are_those_that_lightning_counts(started: Started) -> None:
    """Node by node, whatever numbers SLURM gave; the first process is the first in both."""
    ranks = []
    for node in range(2):
        for local in range(3):
            started(6, 2, node, local)
            ranks.append(process_rank())
    assert ranks == list(range(6))


def test_a_batch_script_started_no_processes(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without srun, and with a srun of one task, the run starts local ones as anywhere else."""
    for name, value in BATCH.items():
        monkeypatch.setenv(name, value)
    assert read_step() is None
    assert not started_elsewhere()
    started(1)
    assert read_step() is None
    assert not started_elsewhere()


def test_torchrun_under_srun_is_torchrun(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    started(2, 2, node=1)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert read_step() is None
    assert process_rank() == 5


@pytest.mark.parametrize(
    ("step", "trainer", "message"),
    [
        ((2, 1), (1, 1), r"2 processes on 1 node \(2\), but trainer.devices=1 .* each would train by itself .*"
                         r"set trainer.devices=2 trainer.num_nodes=1"),
        ((2, 2), (2, 1), r"2 processes on 2 nodes \(1, 1\).*they would wait .*--nodes=1 --ntasks-per-node=2, or set "
                         r"trainer.devices=1 trainer.num_nodes=2"),
        ((4, 2), (4, 2), r"4 processes on 2 nodes \(2, 2\).*--nodes=2 --ntasks-per-node=4"),
    ],
)  # fmt: skip
def test_other_processes_than_the_run_is_made_of(
    started: Started, step: tuple[int, int], trainer: tuple[int, int], message: str
) -> None:
    started(*step)
    with pytest.raises(UserError, match=message):
        check_launcher(config(*trainer))


def test_uneven_nodes_are_refused_without_a_remedy_that_cannot_be(started: Started) -> None:
    started(4, 2, layout="3,1")
    step = read_step()
    assert step
    with pytest.raises(UserError, match=r"on 2 nodes \(3, 1\)") as refused:
        check_step(step, TrainerConfig(devices=2, num_nodes=2))
    assert "or set" not in str(refused.value)


def test_fitting_processes_pass(started: Started) -> None:
    started(4, 2, node=1)
    check_launcher(config(2, 2))


def test_several_nodes_need_a_launcher(started: Started) -> None:
    with pytest.raises(UserError, match=r"trainer\.num_nodes=2 needs a launcher .* srun"):
        check_launcher(config(2, 2))


def test_processes_of_one_node_meet_on_it(started: Started) -> None:
    started(2)
    step = read_step()
    assert step
    assert meeting_point(step, None)["MASTER_ADDR"] == "127.0.0.1"
    assert meeting_point(step, "10.0.0.7")["MASTER_ADDR"] == "10.0.0.7"


def test_port_is_that_of_this_start_of_this_job(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    started(2)
    step = read_step()
    assert step
    ports = set()
    for job in range(100, 120):
        for restart in range(5):
            monkeypatch.setenv("SLURM_JOB_ID", str(job))
            monkeypatch.setenv("SLURM_RESTART_COUNT", str(restart))
            ports.add(int(meeting_point(step, None)["MASTER_PORT"]))
    assert len(ports) == 100
    assert all(1024 < port < 32768 for port in ports)
    monkeypatch.setenv("MASTER_PORT", "4444")
    assert meeting_point(step, None)["MASTER_PORT"] == "4444"


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """`no_names(said)`: no name resolves, and scontrol says this of the node n1."""

    def unknown(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    def install(said: str) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        program = tmp_path / "scontrol"
        program.write_text(f'#!/bin/sh\n[ "$*" = "show node n1" ] && echo "{said}"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def test_names_that_do_not_resolve_are_asked_of_slurm(started: Started, no_names: Callable[[str], None]) -> None:
    started(2, 2)
    step = read_step()
    assert step
    no_names("NodeName=n1 NodeAddr=10.1.2.3 NodeHostName=n1")
    assert meeting_point(step, None)["MASTER_ADDR"] == "10.1.2.3"
    no_names("NodeName=n1 NodeAddr=n1 NodeHostName=n1")
    with pytest.raises(UserError, match=r"the name n1 .* cluster\.main_address"):
        meeting_point(step, None)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("n1", "n1"), ("n[1-2]", "n1"), ("gpu-[07-09,12],login", "gpu-07"), ("a,b", "a"), ("r[3,5]n.lab", "r3n.lab"),
     ("gpu-a100-2", "gpu-a100-2")],
)  # fmt: skip
def test_first_name_of_a_list(nodes: str, first: str) -> None:
    assert first_name(nodes) == first


def test_variables_of_the_processes_go_with_them(started: Started, tmp_path: Path) -> None:
    started(4, 2, node=1, local=1)
    before = dict(os.environ)
    with joined_processes(config(2, 2, **{"cluster.main_address": "10.0.0.1"}), tmp_path / "config.yaml"):
        found = {name: os.environ[name] for name in ("WORLD_SIZE", "NODE_RANK", "LOCAL_RANK", "MASTER_ADDR")}
        assert process_rank() == 3
    assert found == {"WORLD_SIZE": "4", "NODE_RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.1"}
    assert dict(os.environ) == before


def test_a_process_of_srun_has_its_cores_to_itself(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    started(2)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    set_threads(TrainerConfig(devices=2))
    assert os.environ["OMP_NUM_THREADS"] == "1"
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")
    set_threads(TrainerConfig(devices=4))
    assert os.environ["OMP_NUM_THREADS"] == "2"
