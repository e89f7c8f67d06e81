"""The final table of a training: the newest measurements, priced and timed."""

import io

import pytest
import torch
from rich.console import Console

from anycost.architecture import ArchitectureSpace
from anycost.metrics.protocols import in_training
from anycost.metrics.records import Measurement
from anycost.metrics.summary import Summary, SummaryRow, markdown_table, readable_count, rich_table, summarise
from anycost.networks.generator import Generator
from anycost.pricing.macs import macs


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    space = ArchitectureSpace(resolution=16, multiplier=0.01, channel_cap=16, num_resolutions=2)
    return Generator(space, latent_dim=8, mapping_layers=2)


def test_the_summary_prices_and_times_the_newest_measurements(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anycost.metrics.summary.TIMED_SECONDS", 0.01)
    space = generator.space
    frechet = in_training("frechet", "embedded", "embedded", 2000)
    kernel, consistent = (in_training(kind, "embedded", "embedded", 2000) for kind in ("kernel", "consistency"))
    full, low = space.full(), space.uniform(0.5, 8)
    summary = summarise(
        generator,
        [
            Measurement(frechet, "full", full, "faces", 1000, 9.0),
            Measurement(frechet, "full", full, "faces", 2000, 1.5),
            Measurement(kernel, "full", full, "faces", 2000, 0.1),
            Measurement(consistent, "full", full, "faces", 2000, 0.0),
            Measurement(consistent, "0.5@8", low, "faces", 2000, 0.25),
        ],
    )
    assert summary.header == ["architecture", "MACs", "frechet2000_embedded", "consistency500_embedded", "ms"]
    values = [(row.label, row.distance, row.consistency) for row in summary.rows]
    assert values == [("full", 1.5, 0.0), ("0.5@8", None, 0.25)]
    assert [row.macs for row in summary.rows] == [macs(space, a, latent_dim=8, mapping_layers=2) for a in (full, low)]
    assert all(row.latency_ms > 0 for row in summary.rows)


def test_tables_show_every_value() -> None:
    rows = [SummaryRow("full", 74_266_894_336, 12.3456, 0.0, 1.234), SummaryRow("0.5@16", 950, None, 0.25, 0.5)]
    summary = Summary(rows, "frechet2000_embedded", "consistency500_embedded", "cpu")
    text = markdown_table(summary)
    assert text.splitlines()[0] == "| architecture | MACs | frechet2000_embedded | consistency500_embedded | ms |"
    assert text.splitlines()[2] == "| full | 74.3 G | 12.35 | 0.0000 | 1.23 |"
    assert text.splitlines()[3] == "| 0.5@16 | 950 | - | 0.2500 | 0.50 |"
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(rich_table(summary))
    shown = console.export_text()
    assert all(cell in shown for cell in ("frechet2000_embedded", "74.3 G", "12.35", "0.2500"))


@pytest.mark.parametrize(("number", "text"), [(7, "7"), (1500, "1.5 k"), (44_000_000, "44 M"), (10**9, "1 G")])
def test_readable_counts(number: int, text: str) -> None:
    assert readable_count(number) == text
