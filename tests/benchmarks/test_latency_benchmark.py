"""Which architecture stands for a budget, and what the latency table says of measured times."""

from dataclasses import replace

import pytest

from anycost.architecture import ArchitectureSpace
from anycost.benchmarks.latency import (
    LatencyResult,
    Row,
    markdown,
    positive_reductions,
    rows_for_reductions,
    rows_of,
    to_json,
    uniform_architectures,
)
from anycost.errors import UserError
from anycost.pricing.executors import Conditions
from anycost.pricing.price_list import PriceList

CONFIG_F = PriceList(ArchitectureSpace(1024, multiplier=2))
CONDITIONS = Conditions("plain", "a processor", 2, "float32", batch_size=4, torch="2.9")


def test_the_dearest_uniform_architecture_that_fits() -> None:
    uniform = uniform_architectures(CONFIG_F.space)
    assert set(uniform) == {
        ("full" if ratio == "1" else ratio) + (f"@{r}" if r != 1024 else "")
        for ratio in ("1", "0.75", "0.5", "0.25")
        for r in (1024, 512, 256, 128)
    }
    rows, missing = rows_for_reductions(CONFIG_F, uniform, [1, 2, 4, 6, 8, 10, 20])
    assert [row.name for row in rows] == ["full", "0.75@512", "0.5@256", "0.5@128", "0.25", "0.25"]
    for row in rows:
        assert row.budget == 144365170309 / (row.reduction or 0)
        dearer = [one for one in uniform.values() if CONFIG_F.price(one).macs_paper > row.price.macs_paper]
        assert all(CONFIG_F.price(one).macs_paper > row.budget for one in dearer)
    assert len(missing) == 1
    assert "20x" in missing[0]
    assert "0.25@128" in missing[0]
    assert "19.7x" in missing[0]


def test_given_architectures_are_sorted_by_cost() -> None:
    uniform = uniform_architectures(CONFIG_F.space)
    rows = rows_of(CONFIG_F, {name: uniform[name] for name in ("0.25", "full@256", "0.5")})
    assert [row.name for row in rows] == ["full@256", "0.5", "0.25"]
    assert rows[0].reduction is rows[0].budget is None


@pytest.mark.parametrize("texts", [["0.9"], ["1", "x"], ["inf"], ["nan"], ["-2"]])
def test_reductions_are_numbers_from_one_up(texts: list[str]) -> None:
    with pytest.raises(UserError, match="reductions="):
        positive_reductions(texts)


def result(busy: float, predicted_ms: float | None) -> LatencyResult:
    full, half = CONFIG_F.space.full(), CONFIG_F.space.uniform(0.5)
    rows = [Row("full", full, CONFIG_F.price(full), 1.0, 144365170309.0, 800.0 * busy, 800.0, predicted_ms)]
    rows.append(Row("half", half, CONFIG_F.price(half), None, None, 200.0 * busy, 200.0, predicted_ms))
    return LatencyResult(rows, CONDITIONS, rounds=7)


def test_the_table_in_markdown() -> None:
    text = markdown(result(1.0, None))
    assert "executor plain on a processor, 2 threads, float32, batch 4, torch 2.9; 7 rounds" in text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    _, _, full, half = rows
    assert full == ["1x", "144.37 Gmac_paper", "full", "1024", "74.27 G", "144.37 G", "800.00", "5", "1.00x", "800.00"]
    assert half == ["3.28x", "", "half", "1024", "22.23 G", "44.04 G", "200.00", "20", "4.00x", "200.00"]
    assert "which makes 4 pictures" in text
    assert "predicted" not in text
    assert "busy" not in text


def test_a_busy_machine_is_named() -> None:
    assert "This machine was busy: ms is 1.50 times the quiet ms" in markdown(result(1.5, None))


def test_the_error_is_against_the_quiet_time() -> None:
    found = result(2.0, 220.0)
    assert found.rows[1].error == pytest.approx(0.1)
    assert found.error == pytest.approx((0.1 + 0.725) / 2)
    rows = to_json(found)["rows"]
    assert [row["error"] for row in rows] == [pytest.approx(-0.725), pytest.approx(0.1)]
    assert [row["speed_up"] for row in rows] == [1, 4]
    assert [row["fps"] for row in rows] == [2.5, 10]
    assert replace(found.rows[0], predicted_ms=None).error is None
