"""What a search promises: the optimum of small spaces, within budget, never worse than a uniform one, repeatable."""

import statistics
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.networks.perceptual import PerceptualDistance
from anycost.pricing.price_list import PriceList
from anycost.search.archive import Archive, Evaluation
from anycost.search.budget import Budget
from anycost.search.budget_list import parse_budgets
from anycost.search.objective import Objective
from anycost.search.proposals import uniform_architectures
from anycost.search.searching import search
from anycost.search.settings import SearchSettings

SEARCHES = pytest.mark.parametrize("method", ["evolution", "random", "enumeration"])


def optimum(space: ArchitectureSpace, price: Callable, distances: Callable, budget: Budget) -> float:
    return min(distances([one for one in space.enumerate() if budget.fits(price(one))]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_evolution_finds_the_optimum_of_a_small_space(
    seed: int, space: ArchitectureSpace, prices: PriceList, synthetic: Callable
) -> None:
    distances = synthetic(space, seed)
    budgets = parse_budgets(["pareto"], space, prices.price, points=4)
    result = search(space, prices.price, distances, budgets, SearchSettings("evolution", 60, seed=seed))
    found = [result.winners[budget].distance for budget in budgets]
    assert found == [optimum(space, prices.price, distances, budget) for budget in budgets]


def test_evolution_finds_the_optimum_of_a_real_generator(
    generator: Generator, perceptual: PerceptualDistance
) -> None:
    space, price = generator.space, PriceList(generator.space, 16, 1).price
    objective = Objective(generator, perceptual, "stand-in", latents=3)
    budgets = parse_budgets(["pareto:mac"], space, price, points=3)
    result = search(space, price, objective.distances, budgets, SearchSettings("evolution", 30, population=6))
    for budget in budgets:
        assert result.winners[budget].distance == optimum(space, price, objective.distances, budget)


@SEARCHES
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), unit=st.sampled_from(["macs", "macs_paper"]))
def test_winners_fit_and_are_at_least_as_good_as_uniform_ones(
    method: str, seed: int, share: float, unit: str, space: ArchitectureSpace, prices: PriceList, synthetic: Callable
) -> None:
    low, high = (getattr(prices.price(one), unit) for one in (space.uniform(0.25, 8), space.full()))
    budgets = [Budget(low + (high - low) * part, {"macs": "mac", "macs_paper": "mac_paper"}[unit])
               for part in sorted({share / 2, share})]  # fmt: skip
    result = search(space, prices.price, synthetic(space, seed), budgets, SearchSettings(method, 30, 8, 4, seed=seed))
    distances = [result.winners[budget].distance for budget in budgets]
    for budget, distance in zip(budgets, distances, strict=True):
        assert getattr(result.winners[budget].price, unit) <= budget.amount
        fitting = [one.distance for one in result.uniform.values() if getattr(one.price, unit) <= budget.amount]
        assert distance <= min(fitting) == result.best_uniform[budget].distance
    assert distances == sorted(distances, reverse=True), "a dearer budget is never worse"


@SEARCHES
def test_nothing_over_every_budget_is_judged_but_the_uniform_ones(
    method: str, space: ArchitectureSpace, prices: PriceList, synthetic: Callable
) -> None:
    asked: list[Architecture] = []
    make = synthetic(space)

    def distances(architectures: list[Architecture]) -> list[float]:
        asked.extend(architectures)
        return make(architectures)

    budget = Budget.parse("40M")
    result = search(space, prices.price, distances, [budget], SearchSettings(method, 25, 10))
    keys = [one.key for one in asked]
    assert len(keys) == len(set(keys)) == len(result.archive), "each once"
    first = {one.key for one in uniform_architectures(space).values()}
    beyond = [one for one in asked if one.key not in first and not budget.fits(prices.price(one))]
    assert beyond == []
    if method != "enumeration":
        assert len(keys) <= len(first) + 3 + 25
    assert all(one.architecture == space.canonical(one.architecture) for one in result.archive.evaluations)


@SEARCHES
def test_equal_seeds_give_equal_archives(
    method: str, space: ArchitectureSpace, prices: PriceList, synthetic: Callable
) -> None:
    def archive(seed: int) -> list[Evaluation]:
        budgets = parse_budgets(["40M", "50M"], space, prices.price)
        chosen = SearchSettings(method, 20, 8, seed=seed)
        return search(space, prices.price, synthetic(space), budgets, chosen).archive.evaluations

    assert archive(1) == archive(1)
    assert (archive(1) == archive(2)) == (method == "enumeration")


def test_auto_enumerates_small_spaces_only(space: ArchitectureSpace, prices: PriceList, synthetic: Callable) -> None:
    full = Budget.parse("1G")
    result = search(space, prices.price, synthetic(space), [full])
    assert result.settings.method == "enumeration"
    assert {one.architecture.key for one in result.archive.evaluations} == {one.key for one in space.enumerate()}
    large = ArchitectureSpace(256, 1)
    chosen = SearchSettings(evaluations=5)
    result = search(large, PriceList(large).price, synthetic(large), [Budget.parse("20G")], chosen)
    assert result.settings.method == "evolution"
    with pytest.raises(UserError, match="method=annealing"):
        search(space, prices.price, synthetic(space), [full], SearchSettings("annealing"))


def test_evolution_beats_random_search_on_a_large_space(synthetic: Callable) -> None:
    space = ArchitectureSpace(1024, 2)
    price, budget = PriceList(space).price, Budget.parse("30G")

    def best(method: str, seed: int) -> float:
        result = search(space, price, synthetic(space), [budget], SearchSettings(method, 150, seed=seed))
        return result.winners[budget].distance

    mean = {method: statistics.fmean(best(method, seed) for seed in range(3)) for method in ("evolution", "random")}
    assert mean["evolution"] < 0.95 * mean["random"]


def test_the_front_holds_what_nothing_beats(space: ArchitectureSpace, prices: PriceList, synthetic: Callable) -> None:
    archive = Archive(space, prices.price, synthetic(space))
    archive.judge(space.enumerate())
    front = archive.front("macs")
    for one in archive.evaluations:
        beaten = any(
            other.price.macs <= one.price.macs and other.distance <= one.distance and other is not one
            and (other.price.macs, other.distance) != (one.price.macs, one.distance)
            for other in archive.evaluations
        )  # fmt: skip
        tied = any((kept.price.macs, kept.distance) == (one.price.macs, one.distance) for kept in front)
        assert tied == (not beaten)
