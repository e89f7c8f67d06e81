"""Records: a value with all that it depends on, also from the lines of earlier versions."""

import json
from pathlib import Path

import anycost
from anycost.architecture import ArchitectureSpace
from anycost.metrics.protocols import in_training
from anycost.metrics.records import Measurement, add_measurements, read_measurements, write_measurements
from anycost.metrics.table import PROTOCOLS

SPACE = ArchitectureSpace(32, 0.125, 64, 3)
FULL = SPACE.full()


def test_every_field_survives_the_file(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records = [
        Measurement(PROTOCOLS["pr50k3_full"], "0.5", SPACE.uniform(0.5), "faces-1", 25_000, 0.7, False, "precision",
                    "0123456789abcdef", "2026-11-21T15:00:00+00:00", "0.1.0"),
        Measurement(PROTOCOLS["lpips_consistency"], "full", FULL, "", 0, 0.0, error=0.001, network="lpips-1"),
        Measurement(PROTOCOLS["fid50k_full"], "full", FULL, "faces-1", 25_000, 2.84, True),
    ]  # fmt: skip
    write_measurements(path, records)
    assert read_measurements(path) == records
    assert read_measurements(tmp_path / "none.jsonl") == []


def test_keys_name_protocol_part_and_architecture() -> None:
    record = Measurement(PROTOCOLS["pr50k3_full"], "0.5@16", FULL, "", 0, 0.7, part="recall")
    assert record.key == "metrics/pr50k3_full_recall_0.5@16"
    assert record.metric == "pr50k3_full_recall"
    in_run = Measurement(in_training("frechet", "inception", "lpips", 5000), "0.5", FULL, "", 0, 3.0)
    assert in_run.key == "metrics/frechet5000_inception_0.5"
    assert in_run.version == anycost.__version__
    assert in_run.date == ""


def test_lines_of_before_there_were_evaluations_are_read(tmp_path: Path) -> None:
    protocol = {
        "name": "frechet2000_embedded", "kind": "frechet", "features": "embedded", "samples": 2000, "resize": "none",
        "quantisation": "uint8", "noise": "random", "truncation": 1.0, "seed": 0, "dtype": "float32",
        "statistics": "float64",
    }  # fmt: skip
    line = {
        "images": 25_000, "metric": "frechet2000_embedded", "label": "full", "value": 12.5, "biased": False,
        "protocol": protocol, "architecture": FULL.to_json(), "data": "faces-1",
    }  # fmt: skip
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    (record,) = read_measurements(path)
    assert record == Measurement(
        in_training("frechet", "embedded", "embedded", 2000), "full", FULL, "faces-1", 25_000, 12.5, version=""
    )
    add_measurements(path, [Measurement(record.protocol, "full", FULL, "faces-1", 50_000, 11.0)])
    assert [(one.images, one.value) for one in read_measurements(path)] == [(25_000, 12.5), (50_000, 11.0)]
    add_measurements(path, [Measurement(record.protocol, "full", FULL, "faces-1", 40_000, 11.5)])
    assert [(one.images, one.value) for one in read_measurements(path)] == [(25_000, 12.5), (40_000, 11.5)]
