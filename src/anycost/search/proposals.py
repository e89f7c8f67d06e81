"""Where candidates come from: new ones within a budget, and those that every search begins with."""

import random
from collections.abc import Callable, Iterator

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.search.archive import Archive
from anycost.search.budget import Budget

TRIES = 2000
"""Draws in a row that may be refused before a proposal gives up: some 0.1 s."""


def uniform_architectures(space: ArchitectureSpace) -> dict[str, Architecture]:
    """`{label: architecture}` of every ratio at every trained resolution, full first; each distinct one once."""
    made = {
        (one := space.uniform(ratio, resolution)).key: one
        for resolution in reversed(space.resolutions)
        for ratio in reversed(space.ratios)
    }
    return {space.label(one): space.canonical(one) for one in made.values()}


def smallest_architectures(space: ArchitectureSpace) -> list[Architecture]:
    """The smallest flexible architecture of each trained resolution."""
    ratios = [space.allowed_ratios(point)[0] for point in range(space.num_points)]
    return [space.canonical(space.from_ratios(ratios, resolution)) for resolution in space.resolutions]


def first_architectures(space: ArchitectureSpace) -> list[Architecture]:
    """What every search judges first: the uniform architectures, the full one among them, and the smallest ones."""
    return [*uniform_architectures(space).values(), *smallest_architectures(space)]


def random_architecture(space: ArchitectureSpace, rng: random.Random) -> Architecture:
    """Every gene (allowed ratio per channel point, trained resolution) drawn uniformly."""
    return space.sample(rng, "flexible", rng.choice(space.resolutions))


def propose(archive: Archive, budget: Budget, count: int, draw: Callable[[], Architecture]) -> list[Architecture]:
    """Up to `count` distinct draws that are new to the archive and within the budget.

    Fewer, or none, where `TRIES` draws in a row were refused: little or nothing is left there.
    """
    found: dict[tuple[int, tuple[int, ...]], Architecture] = {}
    refused = 0
    while len(found) < count and refused < TRIES:
        candidate = draw()
        if candidate.key in found or candidate in archive or not budget.fits(archive.price(candidate)):
            refused += 1
            continue
        found[candidate.key] = candidate
        refused = 0
    return list(found.values())


def batches(items: list[Architecture], size: int) -> Iterator[list[Architecture]]:
    """Slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
