"""Enumeration: where a space is small, every architecture that fits is judged, and the answer is the true optimum."""

from collections.abc import Sequence

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.search.archive import Archive, PriceOf
from anycost.search.budget import Budget
from anycost.search.proposals import batches
from anycost.search.settings import SearchSettings

SMALL = 5000
"""Fewer distinct architectures than this are enumerated rather than searched."""


def is_small(space: ArchitectureSpace) -> bool:
    return space.count() < SMALL


def fitting_any(space: ArchitectureSpace, price: PriceOf, budgets: Sequence[Budget]) -> list[Architecture]:
    """Every architecture of the space that costs no more than one of the budgets."""
    return [one for one in space.enumerate() if any(budget.fits(price(one)) for budget in budgets)]


def enumerate_all(archive: Archive, budgets: Sequence[Budget], settings: SearchSettings) -> None:
    """Judge every architecture of the space that fits any of the budgets."""
    for batch in batches(fitting_any(archive.space, archive.price, budgets), settings.population):
        archive.judge(batch)
