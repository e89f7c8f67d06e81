"""Every state of a job has its evidence; docs/sweeps.md names them all."""

from pathlib import Path
from typing import Any

import pytest

from anycost.attempts import Attempt
from anycost.sweeps.record import Submission
from anycost.sweeps.slurm import QueuedJob
from anycost.sweeps.states import ACTIVE, RESUMABLE, STATES, Evidence, judge

NOON, ONE = "2026-01-01T12:00:00+00:00", "2026-01-01T13:00:00+00:00"
SLURM = Submission(NOON, "slurm", "12", "login", [3])
LOCAL = Submission(NOON, "local", "77", "here", [3])


def attempt(state: str = "", job: str = "12_3", time: str = ONE, error: str = "") -> Attempt:
    return Attempt(1, time, "node7", "node7", 9, job, 0, ONE if state else "", state, 0, error)


def queued(state: str, reason: str = "None") -> QueuedJob:
    return QueuedJob("12_3", state, reason, "node7")


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("missing", "", {}),
    ("queued", "Resources", {"submission": SLURM, "queued": queued("PENDING", "Resources")}),
    ("queued", "Priority", {"attempts": [attempt("failed", "8_3")], "queued": queued("PENDING", "Priority")}),
    ("queued", "Resources", {"record": "finished", "queued": queued("PENDING", "Resources")}),
    ("waiting", "depends on #0, #1", {"queued": queued("PENDING", "Dependency"), "depends_on": [0, 1]}),
    ("waiting", "DependencyNeverSatisfied", {"queued": queued("PENDING", "DependencyNeverSatisfied")}),
    ("requeued", "BeginTime", {"attempts": [attempt("requeued")], "queued": queued("PENDING", "BeginTime")}),
    ("requeued", "BeginTime", {"attempts": [attempt()], "queued": queued("PENDING", "BeginTime")}),
    ("requeued", "", {"attempts": [attempt("requeued")], "queued": queued("COMPLETING")}),
    ("running", "starting", {"submission": SLURM, "queued": queued("RUNNING")}),
    ("running", "starting", {"attempts": [attempt("requeued")], "queued": queued("RUNNING")}),
    ("running", "", {"attempts": [attempt()], "queued": queued("RUNNING")}),
    ("running", "suspended", {"attempts": [attempt()], "queued": queued("SUSPENDED")}),
    ("running", "", {"attempts": [attempt()], "locked": True}),
    ("running", "", {"submission": SLURM, "queued": queued("PENDING", "Priority"), "locked": True}),
    ("finished", "", {"attempts": [attempt("finished")], "record": "finished", "queued": queued("RUNNING")}),
    ("finished", "", {"record": "finished"}),
    ("finished", "", {"attempts": [attempt("finished", "8_3", "2026-01-01T11:00:00+00:00")], "record": "finished",
                      "submission": LOCAL, "launcher": False}),
    ("stopped", "it is to be longer now", {"attempts": [attempt("finished")], "record": "stopped"}),
    ("stopped", "", {"attempts": [attempt("stopped")], "record": "stopped"}),
    ("stopped", "", {"record": "stopped"}),
    ("stopped", "it was cancelled", {"attempts": [attempt("stopped", error="it was cancelled; submit it again")]}),
    ("stopped", "cancelled while it was queued again", {"attempts": [attempt("requeued")]}),
    ("stopped", "cancelled while it was queued again", {"attempts": [attempt("requeued")], "log": "kimg 0.2"}),
    ("failed", "ModuleNotFoundError: torch", {"attempts": [attempt("requeued")], "ended_as": "FAILED",
                                              "log": "ModuleNotFoundError: torch"}),
    ("died", "out of memory: cluster.mem_gb asks for more", {"attempts": [attempt("requeued")],
                                                             "ended_as": "OUT_OF_MEMORY", "log": "kimg 0.2"}),
    ("died", "it did not start again: FAILED", {"attempts": [attempt("requeued")], "ended_as": "FAILED"}),
    ("died", "it did not start: JobLaunchFailure", {"submission": SLURM, "ended_as": "FAILED",
                                                    "queued": queued("FAILED", "JobLaunchFailure")}),
    ("stopped", "cancelled before it started", {"submission": SLURM}),
    ("stopped", "cancelled before it trained", {"submission": SLURM, "queued": queued("CANCELLED"),
                                                "ended_as": "CANCELLED", "log": "kimg 0"}),
    ("stopped", "cancelled: it depends on #0, unfinished", {"submission": SLURM, "depends_on": [0]}),
    ("stopped", "cancelled before it had saved", {"attempts": [attempt()], "ended_as": "CANCELLED"}),
    ("stopped", "its launcher ended", {"submission": LOCAL, "launcher": False}),
    ("failed", "loss/d is nan", {"attempts": [attempt("failed", error="loss/d is nan")]}),
    ("failed", "error: no such data", {"submission": SLURM, "log": "error: no such data"}),
    ("failed", "torch.cuda.OutOfMemoryError: CUDA", {"submission": SLURM, "log": "torch.cuda.OutOfMemoryError: CUDA"}),
    ("died", "", {"attempts": [attempt()]}),
    ("died", "", {"record": "running"}),
    ("died", "apptainer: not found", {"submission": SLURM, "log": "apptainer: not found"}),
    ("died", "out of memory: cluster.mem_gb asks for more", {"attempts": [attempt()], "ended_as": "OUT_OF_MEMORY"}),
    ("died", "the node was lost", {"attempts": [attempt()], "ended_as": "NODE_FAIL"}),
    ("queued", "", {"submission": LOCAL, "launcher": True}),
    ("queued", "submitted on here", {"submission": LOCAL, "launcher": None}),
    ("waiting", "depends on #1", {"submission": LOCAL, "launcher": True, "depends_on": [1]}),
    ("queued", "", {"submission": LOCAL, "launcher": True,
                    "attempts": [attempt("failed", "", "2026-01-01T11:00:00+00:00")]}),
    ("queued", "as far as files tell", {"submission": SLURM, "queue_answers": False}),
    ("requeued", "as far as files tell", {"attempts": [attempt("requeued")], "queue_answers": False}),
]  # fmt: skip


@pytest.mark.parametrize(("state", "detail", "evidence"), CASES)
def test_a_state_follows_from_the_evidence(state: str, detail: str, evidence: dict[str, Any]) -> None:
    judged = judge(Evidence(**evidence))
    assert (judged.name, judged.detail) == (state, detail)


def test_a_clock_that_is_behind_does_not_make_a_job_look_unstarted() -> None:
    early = attempt("failed", time="2026-01-01T11:59:00+00:00", error="of its own fault")
    assert judge(Evidence(attempts=[early], submission=SLURM)).name == "failed"


def test_what_has_ended_can_be_resubmitted_and_nothing_else() -> None:
    assert {state for state, _, _ in CASES} == set(STATES) == ACTIVE | RESUMABLE | {"finished"}
    assert not ACTIVE & RESUMABLE


def test_the_page_has_every_state() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    assert all(f"| `{state}` |" in page for state in STATES)
