"""`anycost report`: arguments, where the report goes, one message for what the user can mend."""

import json
from pathlib import Path

import pytest

from anycost.commands import main


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with one measurement of an old line, which said less."""
    folder = tmp_path / "run one=a"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"stage": "ada_ch", "data": "faces", "state": "finished", "images": 8}))
    protocol = {
        "name": "frechet8_embedded", "kind": "frechet", "features": "embedded", "samples": 8, "resize": "none",
        "quantisation": "uint8", "noise": "random", "truncation": 1.0, "seed": 0, "dtype": "float32",
        "statistics": "float64",
    }  # fmt: skip
    architecture = {"resolution": 4, "channels": [8, 8], "ratios": [1.0, 1.0]}
    line = {
        "images": 8, "metric": "frechet8_embedded", "label": "full", "value": 1.5, "biased": True,
        "protocol": protocol, "architecture": architecture, "data": "faces",
    }  # fmt: skip
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def test_the_report_lies_in_the_run_or_where_it_is_asked_for(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", run.name]) == 0
    assert f"report:  {run.name}/report/report.md" in capsys.readouterr().out
    assert "1.5 †" in (run / "report" / "report.md").read_text()
    assert main(["report", str(run), str(run), "output=else where"]) == 0
    assert (tmp_path / "else where" / "records.csv").is_file()
    first = (run / "report" / "report.md").read_bytes()
    assert main(["report", run.name]) == 0
    assert (run / "report" / "report.md").read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "needs the folder of a run"),
        (["nowhere"], "nowhere does not exist"),
        (["ouput=x", "RUN"], "ouput= is not an option"),
        (["--ouput", "RUN"], "--ouput is not of the form key=value"),
    ],
)
def test_errors(run: Path, capsys: pytest.CaptureFixture, arguments: list[str], words: str) -> None:
    assert main(["report", *(str(run) if one == "RUN" else one for one in arguments)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert words in message
    assert len(message.splitlines()) == 1


def test_help(capsys: pytest.CaptureFixture) -> None:
    assert main(["report", "--help"]) == 0
    assert "output=" in capsys.readouterr().out
