"""The budgets that a command line asks for: one, several, or a series over all that a generator can cost."""

from collections.abc import Iterator, Sequence

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.pricing.price_list import Price
from anycost.search.archive import PriceOf
from anycost.search.budget import FIELDS, PREFIXES, Budget, budget_of, prefix_of
from anycost.search.proposals import first_architectures


def parse_budgets(texts: Sequence[str], space: ArchitectureSpace, price: PriceOf, points: int = 8) -> list[Budget]:
    """All budgets that the texts name, each once, cheapest first within a measure.

    `pareto` stands for `points` budgets between the cheapest and the full architecture in the paper's convention,
    evenly spaced in logarithm; `pareto:mac` and `pareto:ms` for true multiply-adds and milliseconds. Raises
    `UserError` for a budget below the cheapest or above the full architecture, and for milliseconds where `price`
    knows none.
    """
    if not texts:
        raise UserError("budget= needs at least one budget, for example budget=18G")
    full = price(space.full())
    budgets: dict[tuple[str, float], Budget] = {}
    for text in texts:
        for budget in _pareto(text, space, price, points) if text.startswith("pareto") else [Budget.parse(text)]:
            budget.cost(full)  # a latency that is not known is said before it is compared
            budget.check(cheapest_price(space, price, budget.field), full)
            budgets.setdefault((budget.field, budget.amount), budget)
    measures = list(FIELDS.values())
    return sorted(budgets.values(), key=lambda budget: (measures.index(budget.field), budget.amount))


def cheapest_price(space: ArchitectureSpace, price: PriceOf, field: str) -> Price:
    """The least in `field`, among the uniform architectures and the smallest of each resolution."""
    return min(map(price, first_architectures(space)), key=lambda one: getattr(one, field))


def is_timed(text: str) -> bool:
    """Whether the budget `text` is one of milliseconds."""
    return text.endswith("ms")


def _pareto(text: str, space: ArchitectureSpace, price: PriceOf, points: int) -> Iterator[Budget]:
    """Inner points only: the ends are no question, one architecture costs so little and the full one is its own."""
    measure = text.partition(":")[2] or "mac_paper"
    if text not in ("pareto", f"pareto:{measure}") or measure not in FIELDS:
        raise UserError(f"budget={text} is not understood; use pareto, pareto:mac or pareto:ms")
    scale, full = Budget(1, measure), price(space.full())
    high = scale.cost(full)
    low = scale.cost(cheapest_price(space, price, FIELDS[measure]))
    for point in range(1, points + 1):
        amount = low * (high / low) ** (point / (points + 1))
        prefix = "" if measure == "ms" else prefix_of(amount)
        yield budget_of(float(f"{amount / PREFIXES[prefix]:.3g}"), prefix + measure)
