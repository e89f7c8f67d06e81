"""Evolution: the best known architectures within a budget have children by mutation and crossover [Anycost, Sec. 3.3].

The genes are the allowed ratio of each channel point and the resolution. The paper does not say how it searched; the
form is that of its references (Cai et al., Once-for-All; Guo et al., single path one-shot).
"""

import random
from collections.abc import Sequence

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.randomness import python_random
from anycost.search.archive import Archive
from anycost.search.budget import Budget
from anycost.search.proposals import propose, random_architecture
from anycost.search.settings import SearchSettings


def evolve(archive: Archive, budget: Budget, settings: SearchSettings) -> None:
    """Judge up to `settings.evaluations` further architectures within the budget.

    The archive is the memory: what it already holds within the budget is the beginning of the first population, and
    nothing good is ever lost (elitism), since the parents of a generation are the best of all that is known.
    """
    rng = python_random(settings.seed, "evolution", str(budget))
    end = len(archive) + settings.evaluations
    missing = settings.population - len(archive.fitting(budget))
    archive.judge(_random(archive, budget, min(missing, settings.evaluations), rng))
    while (room := end - len(archive)) > 0:
        children = _children(archive, budget, min(room, settings.population), settings, rng)
        if not children:
            return  # all that fits is known
        archive.judge(children)


def _children(
    archive: Archive, budget: Budget, count: int, settings: SearchSettings, rng: random.Random
) -> list[Architecture]:
    """A generation; random ones where the parents have no new child left."""
    parents = [one.architecture for one in archive.fitting(budget)[: settings.parents]]
    children = propose(archive, budget, count, lambda: _child(archive.space, parents, settings.mutation_rate, rng))
    return children or _random(archive, budget, count, rng)


def _child(
    space: ArchitectureSpace, parents: Sequence[Architecture], mutation_rate: float, rng: random.Random
) -> Architecture:
    """Half of the children are mutants of one parent, half take each gene from one of two."""
    if len(parents) > 1 and rng.random() < 0.5:
        return space.crossover(rng, *rng.sample(parents, 2))
    return space.mutate(rng, rng.choice(parents), mutation_rate)


def _random(archive: Archive, budget: Budget, count: int, rng: random.Random) -> list[Architecture]:
    return propose(archive, budget, count, lambda: random_architecture(archive.space, rng))
