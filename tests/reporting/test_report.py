"""The report: every number is where it belongs, and every file that it names exists."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from anycost.architecture import ArchitectureSpace
from anycost.metrics.records import Measurement
from anycost.metrics.table import protocols
from anycost.pricing.price_list import PriceList
from anycost.reporting.report import Written, write_report

Measure = Callable[..., Measurement]


def tables(written: Written) -> dict[str, list[list[list[str]]]]:
    """`{heading: tables}`, a table as its rows of cells, header first."""
    found: dict[str, list[list[list[str]]]] = {}
    for section in written.page.read_text().split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        blocks = re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE)
        found[title] = [
            [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if "---" not in line]
            for block in blocks
        ]
    return found


@pytest.fixture
def one(make_run: Callable[..., Path], measurement: Measure) -> Path:
    lines = [
        measurement("full", 1000, 2.5, biased=True), measurement("full", 2000, 3.25, biased=True),
        measurement("0.5@16", 2000, 1.5, biased=True), measurement("0.5@16", 2000, 0.125, "consistency_embedded"),
        measurement("full", 2000, 0.0, "consistency_embedded"),
        measurement("full", 2000, 0.75, "pr5k3_embedded", part="precision"),
        measurement("full", 2000, 0.25, "pr5k3_embedded", part="recall"),
    ]  # fmt: skip
    return make_run("one", lines)


def test_a_table_per_protocol_with_prices_of_both_conventions(one: Path, space: ArchitectureSpace) -> None:
    found = tables(write_report([str(one)]))
    assert list(found) == [
        "Runs", "fd1k_embedded", "consistency_embedded", "pr5k3_embedded_precision", "pr5k3_embedded_recall",
        "Samples", "Training",
    ]  # fmt: skip
    newest, best = found["fd1k_embedded"]
    full, half = (PriceList(space).price(space.parse(text)) for text in ("full", "0.5@16"))
    assert newest[0] == ["architecture", "MACs", "MACs (paper)", "parameters", "one"]
    costs = [f"{cost / 1e6:.3g} M" for cost in (full.macs, full.macs_paper, full.parameters)]
    assert newest[1] == ["full", *costs, "3.25 †"]
    assert [row[-1] for row in newest[1:]] == ["3.25 †", "1.5 †"]
    assert newest[2][1] == f"{half.macs / 1e6:.3g} M"
    assert best[1:] == [["one", "full", "2.5 †", "1", "3.25 †", "2"]]
    (consistencies,) = found["consistency_embedded"]
    assert [row[-1] for row in consistencies[1:]] == ["0.125", "0"]
    assert found["pr5k3_embedded_precision"][0][1][-1] == "0.75"


def test_the_page_says_how_it_was_measured(one: Path) -> None:
    page = write_report([str(one)]).page.read_text()
    (protocol,) = protocols(["fd1k_embedded"])
    assert "1000 generated images" in page
    assert protocol.digest in page
    assert "`faces-1`" in page
    assert "† biased" in page
    assert "Precision recall, higher is better" in page


def test_every_figure_and_link_of_the_page_exists(one: Path) -> None:
    written = write_report([str(one)])
    links = re.findall(r"\]\(([^)]+)\)", written.page.read_text())
    assert {Path(link).name for link in links} == {path.name for path in [*written.figures, written.records]}
    assert all((written.page.parent / link).is_file() for link in links)
    stems = {path.stem for path in written.figures}
    assert stems == {
        "fd1k_embedded_vs_macs", "fd1k_embedded_over_kimg", "consistency_embedded_vs_macs", "grids", "one_losses",
    }  # fmt: skip


def test_records_csv_has_every_field_of_every_record(one: Path, space: ArchitectureSpace) -> None:
    written = write_report([str(one)])
    rows = list(csv.DictReader(written.records.open()))
    assert len(rows) == written.count == 7
    row = rows[2]
    assert (row["run"], row["seed"], row["label"], float(row["value"])) == ("one", "0", "0.5@16", 1.5)
    assert row["protocol.name"] == "fd1k_embedded"
    assert [int(count) for count in row["architecture.channels"].split()] == list(space.parse("0.5@16").channels)
    assert int(row["macs_paper"]) == PriceList(space).price(space.parse("0.5@16")).macs_paper
    assert {row["part"] for row in rows} == {"", "precision", "recall"}


def test_seeds_stand_in_one_column(make_run: Callable[..., Path], tmp_path: Path) -> None:
    for seed, value in enumerate((1.0, 2.0, 3.0)):
        make_run(f"sweep/{seed}", {"full": {2000: value}}, seed=seed)
    written = write_report([str(tmp_path / "sweep")], tmp_path / "out")
    (table,) = tables(written)["fd1k_embedded"]
    assert table[0][-1] == "sweep (3 seeds)"
    assert table[1][-1] == "2 ± 1"
    assert written.page == tmp_path / "out" / "report.md"
    assert written.count == 3


def test_many_runs_stand_in_rows(make_run: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(5):
        make_run(f"sweep/{number}", {"full": {2000: float(number)}, "0.5": {2000: 9.0}}, stage={"kimg": number})
    (table,) = tables(write_report([str(tmp_path / "sweep")]))["fd1k_embedded"]
    assert table[0] == ["run", "full", "0.5"]
    assert [row[0] for row in table[1:3]] == ["MACs", "MACs (paper)"]
    assert table[4] == ["sweep/1", "1", "9"]


def test_other_data_is_another_table(make_run: Callable[..., Path], measurement: Measure) -> None:
    folder = make_run("one", [measurement("full", 2000, 1.0), measurement("full", 2000, 2.0, data="cars-1")])
    page = write_report([str(folder)]).page.read_text()
    assert re.findall("^## (fd1k.*)", page, re.MULTILINE) == ["fd1k_embedded, faces-1", "fd1k_embedded, cars-1"]
    assert "`faces-1`" in page
    assert "`cars-1`" in page


def test_consistency_of_two_resolutions_is_two_tables(
    make_run: Callable[..., Path], measurement: Measure, tmp_path: Path
) -> None:
    for side in (32, 64):
        folder = make_run(f"sweep/{side}", [measurement("0.5@16", 2000, 0.5, "consistency_embedded")])
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace("resolution: 32", f"resolution: {side}"))
    found = tables(write_report([str(tmp_path / "sweep")]))
    own = {name: found[name][0][0][-1] for name in found if name.startswith("consistency")}
    assert own == {
        "consistency_embedded, faces at 32 px": "sweep/32", "consistency_embedded, faces at 64 px": "sweep/64",
    }  # fmt: skip


def test_records_of_replaced_weights_are_in_the_csv_only(make_run: Callable[..., Path], measurement: Measure) -> None:
    from anycost.interchange.locating import weights_identity
    from anycost.interchange.weights import Header, write_weights

    folder = make_run("one", {})
    write_weights(folder / "weights.safetensors", {}, Header("training"))
    own = weights_identity(folder / "weights.safetensors")
    lines = [measurement("full", 2000, 1.0, weights="0" * 16), measurement("full", 2000, 2.0, weights=own)]
    make_run("lines", lines)
    (folder / "evaluation").mkdir()
    (folder.parent / "lines" / "metrics.jsonl").rename(folder / "evaluation" / "records.jsonl")
    written = write_report([str(folder)])
    (table,) = tables(written)["fd1k_embedded"]
    assert [row[-1] for row in table[1:]] == ["2"]
    assert written.count == 2
    assert "1 records of weights that have been replaced" in written.page.read_text()
