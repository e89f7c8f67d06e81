"""One search: several budgets, one archive. Plain objects in, plain objects out, no files."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.search.archive import Archive, Distances, Evaluation, PriceOf
from anycost.search.budget import Budget
from anycost.search.enumeration import enumerate_all, is_small
from anycost.search.evolution import evolve
from anycost.search.proposals import first_architectures, uniform_architectures
from anycost.search.random_search import search_randomly
from anycost.search.settings import METHODS, SearchSettings


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Args:
        budgets: cheapest first within a measure.
        winners: the best architecture known within each budget.
        best_uniform: the best uniform one that fits each budget; None where none fits.
        uniform: all uniform ones by label, full first.
        archive: everything that was judged.
        settings: with the method that was used in place of `auto`.
    """

    budgets: list[Budget]
    winners: dict[Budget, Evaluation]
    best_uniform: dict[Budget, Evaluation | None]
    uniform: dict[str, Evaluation]
    archive: Archive
    settings: SearchSettings


def search(
    space: ArchitectureSpace,
    price: PriceOf,
    distances: Distances,
    budgets: Sequence[Budget],
    settings: SearchSettings | None = None,
    on_new: Callable[[Archive, list[Evaluation]], None] = lambda archive, new: None,
) -> SearchResult:
    """The best architecture within each budget, and everything judged on the way.

    The uniform and the smallest architectures are judged first, whatever the method: no winner is worse than the
    best uniform one that fits. Budgets are searched from the cheapest up: all that fits a smaller budget fits the
    next, so each begins where the one before ended, and a dearer winner is never worse than a cheaper one.

    Args:
        space: the genes.
        price: of any architecture (`PriceList.price`).
        distances: of a batch of architectures (`Objective.distances`).
        budgets: each must admit at least one architecture (`parse_budgets` checks that).
        settings: deterministic: equal settings give equal archives, in equal order.
        on_new: told of each batch of evaluations, before anything builds on it.
    """
    settings = settings or SearchSettings()
    settings = replace(settings, method=decided_method(settings.method, space))
    archive = Archive(space, price, distances, lambda new: on_new(archive, new))
    uniform = uniform_architectures(space)
    archive.judge(first_architectures(space))
    if settings.method == "enumeration":
        enumerate_all(archive, budgets, settings)
    else:
        for budget in budgets:
            {"evolution": evolve, "random": search_randomly}[settings.method](archive, budget, settings)
    known = {label: archive[one] for label, one in uniform.items()}
    return SearchResult(
        budgets=list(budgets),
        winners={budget: archive.fitting(budget)[0] for budget in budgets},
        best_uniform={budget: best_uniform(known.values(), budget) for budget in budgets},
        uniform=known,
        archive=archive,
        settings=settings,
    )


def best_uniform(uniform: Iterable[Evaluation], budget: Budget) -> Evaluation | None:
    """The uniform architecture with the smallest distance within the budget."""
    return min((one for one in uniform if budget.fits(one.price)), key=lambda one: one.rank, default=None)


def decided_method(name: str, space: ArchitectureSpace) -> str:
    """`auto` as `enumeration` or `evolution`; raises `UserError` for an unknown method."""
    if name not in METHODS:
        raise UserError(f"method={name} is not one of {', '.join(METHODS)}")
    if name == "auto":
        return "enumeration" if is_small(space) else "evolution"
    return name
