"""Progress: plain lines with the time left, a bar in a terminal, nothing from processes that do not lead."""

import io

import pytest
from rich.console import Console

from anycost.architecture import ArchitectureSpace
from anycost.evaluation import progress
from anycost.evaluation.progress import Meter, estimates_line, readable_time
from anycost.evaluation.results import headline, results_table
from anycost.metrics.protocols import in_training
from anycost.metrics.records import Measurement

FULL = ArchitectureSpace(32, 0.125, 64, 3).full()


def measurement(value: float, label: str = "full", part: str = "", biased: bool = False) -> Measurement:
    return Measurement(in_training("frechet", "embedded", "embedded", 20), label, FULL, "d", 5, value, biased, part)


class Clock:
    """Ten seconds pass between two looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 10
        return self.now


def test_plain_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(progress, "time", Clock())
    with Meter() as meter:
        meter.expect(100)
        meter.begin("real images")
        meter.skip(40)
        for _ in range(6):
            meter.advance(10)
    lines = capsys.readouterr().out.splitlines()
    assert 2 <= len(lines) <= 4
    assert lines[0].startswith("real images: 60 of 100 images, ")
    assert lines[0].endswith(" left")


def test_speed_is_of_this_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "time", Clock())
    meter = Meter(quiet=True)
    meter.skip(1000)
    meter.done += 50
    assert meter.speed == 50 / 10  # ten seconds after the start


def test_processes_that_do_not_lead_are_quiet(capsys: pytest.CaptureFixture) -> None:
    meter = Meter(quiet=True)
    meter.say("words")
    meter.advance(10**6)
    assert capsys.readouterr().out == ""


def test_a_bar_in_a_terminal() -> None:
    screen = io.StringIO()
    with Meter(Console(file=screen, force_terminal=True, width=120, highlight=False)) as meter:
        meter.expect(10)
        meter.begin("pass")
        meter.advance(10)
        meter.say("pass so far [bold]")
    shown = screen.getvalue()
    assert "10 of 10 images" in shown
    assert "pass so far [bold]" in shown


@pytest.mark.parametrize(("seconds", "text"), [(45.2, "45 s"), (720, "12 min"), (12_240, "3.4 h")])
def test_times(seconds: float, text: str) -> None:
    assert readable_time(seconds) == text


def test_a_line_of_estimates_names_parts_and_bias() -> None:
    values = [(7, measurement(0.51234, biased=True)), (9, measurement(2, "0.5", "recall"))]
    assert estimates_line("fd", values) == "fd so far (9 images): full 0.5123*, 0.5 recall 2"


def test_of_many_parts_the_mean_is_shown() -> None:
    mean, smiling, other = measurement(1), measurement(2, part="Smiling"), measurement(3, "0.5", part="Smiling")
    assert headline([mean, smiling, other]) == [mean]
    assert headline([smiling, other]) == [smiling, other]
    table = results_table([mean, smiling], None)
    assert [column.header for column in table.columns] == ["images", "frechet20_embedded"]
