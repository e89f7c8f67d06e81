"""Budgets as users write them: units, conventions, series, and what is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.pricing.price_list import Price, PriceList
from anycost.search.budget import Budget
from anycost.search.budget_list import parse_budgets

PRICE = Price(macs=9_457_754_112, macs_paper=17_865_820_089, parameters=1, activation_bytes=1, latency_ms=40.0)


@pytest.mark.parametrize(("text", "amount", "unit", "full", "name", "field"), [
    ("18G", 18e9, "Gmac_paper", "18Gmac_paper", "18G", "macs_paper"),
    ("18Gmac_paper", 18e9, "Gmac_paper", "18Gmac_paper", "18G", "macs_paper"),
    ("8.4Gmac", 8_400_000_000, "Gmac", "8.4Gmac", "8.4Gmac", "macs"),
    (" 250Mmac", 250e6, "Mmac", "250Mmac", "250Mmac", "macs"),
    ("17865820089mac_paper", 17_865_820_089, "mac_paper", "17865820089mac_paper", "17865820089mac_paper",
     "macs_paper"),
    ("40ms", 40, "ms", "40ms", "40ms", "latency_ms"),
    ("2.50ms", 2.5, "ms", "2.5ms", "2.5ms", "latency_ms"),
])
def test_forms(text: str, amount: float, unit: str, full: str, name: str, field: str) -> None:
    budget = Budget.parse(text)
    assert budget == Budget(amount, unit)
    assert (str(budget), budget.name, budget.field) == (full, name, field)


@given(st.floats(0.001, 9999).map(lambda value: float(f"{value:.6g}")),
       st.sampled_from(["Gmac_paper", "Mmac", "kmac", "ms", "mac_paper", "Tmac"]))
def test_the_written_form_is_read_back(number: float, unit: str) -> None:
    budget = Budget.parse(f"{number:.12f}{unit}")
    assert Budget.parse(str(budget)) == budget == Budget.parse(budget.name)


@pytest.mark.parametrize("text", ["18", "18g", "x", "", "-3G", "0G", "40s", "1e3M", "18GG", "18Gms", "nanG"])
def test_what_is_not_understood_is_explained(text: str) -> None:
    with pytest.raises(UserError, match=f"budget={re.escape(text)} is not understood; use for example 18G"):
        Budget.parse(text)


def test_the_conventions_are_not_mixed_up() -> None:
    assert Budget.parse("18G").fits(PRICE)
    assert not Budget.parse("17G").fits(PRICE)
    assert Budget.parse("9.5Gmac").fits(PRICE)
    assert not Budget.parse("9Gmac").fits(PRICE)
    assert Budget.parse("40ms").fits(PRICE)
    assert not Budget.parse("39.9ms").fits(PRICE)


def test_budgets_outside_the_space_are_refused_with_both_ends() -> None:
    space = ArchitectureSpace(1024, 2)
    price = PriceList(space).price
    for text, word in (("1M", "below the cheapest"), ("150G", "above the full")):
        with pytest.raises(UserError, match=rf"{word} architecture.*7\.333Gmac_paper.*144\.4Gmac_paper"):
            parse_budgets(["18G", text], space, price)
    with pytest.raises(UserError, match=r"budget=40ms needs latencies.*latency=true"):
        parse_budgets(["40ms"], space, price)
    with pytest.raises(UserError, match="pareto:ms"):
        parse_budgets(["pareto:seconds"], space, price)
    with pytest.raises(UserError, match="at least one"):
        parse_budgets([], space, price)


def test_lists_are_sorted_and_each_budget_comes_once() -> None:
    space = ArchitectureSpace(1024, 2)
    budgets = parse_budgets(["30Gmac", "36G", "18G", "18000Mmac_paper", "15G"], space, PriceList(space).price)
    assert [budget.name for budget in budgets] == ["15G", "18G", "36G", "30Gmac"]


@pytest.mark.parametrize(("text", "field"), [("pareto", "macs_paper"), ("pareto:mac", "macs")])
def test_pareto_spaces_budgets_evenly_inside_the_range(text: str, field: str) -> None:
    space = ArchitectureSpace(1024, 2)
    price = PriceList(space).price
    budgets = parse_budgets([text], space, price, points=6)
    amounts = [budget.amount for budget in budgets]
    low, high = getattr(price(space.uniform(0.25, 128)), field), getattr(price(space.full()), field)
    assert {budget.field for budget in budgets} == {field}
    ratios = [after / before for before, after in zip([low, *amounts], [*amounts, high], strict=True)]
    assert ratios == pytest.approx([(high / low) ** (1 / 7)] * 7, rel=0.01)
