"""How a search searches."""

from dataclasses import dataclass

METHODS = ("auto", "evolution", "random", "enumeration")


@dataclass(frozen=True)
class SearchSettings:
    """The choices of the methods; `seed` decides every draw.

    Args:
        method: `auto` enumerates small spaces and evolves in others.
        evaluations: architectures judged for each budget, beside the uniform ones and what earlier budgets found.
        population: size of the first population and of each generation; what is judged together.
        parents: how many of the best known have children: a quarter of the population, as in GAN Compression.
        mutation_rate: probability of a mutant's gene to be redrawn.
        seed: of all draws.
    """

    method: str = "auto"
    evaluations: int = 400
    population: int = 20
    parents: int = 5
    mutation_rate: float = 0.2
    seed: int = 0
