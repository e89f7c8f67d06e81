"""Random search: the baseline that a better method has to beat at equal evaluations."""

from anycost.randomness import python_random
from anycost.search.archive import Archive
from anycost.search.budget import Budget
from anycost.search.proposals import propose, random_architecture
from anycost.search.settings import SearchSettings


def search_randomly(archive: Archive, budget: Budget, settings: SearchSettings) -> None:
    """Judge up to `settings.evaluations` further architectures, drawn uniformly until they fit the budget."""
    rng = python_random(settings.seed, "random", str(budget))
    end = len(archive) + settings.evaluations
    while (room := end - len(archive)) > 0:
        drawn = propose(
            archive, budget, min(room, settings.population), lambda: random_architecture(archive.space, rng)
        )
        if not drawn:
            return
        archive.judge(drawn)
