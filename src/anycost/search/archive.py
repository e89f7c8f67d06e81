"""The archive of a search: every architecture judged so far, each once, in the order of judging."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.pricing.price_list import Price
from anycost.search.budget import Budget

Distances = Callable[[Sequence[Architecture]], list[float]]
PriceOf = Callable[[Architecture], Price]


@dataclass(frozen=True)
class Evaluation:
    """One judged architecture, in canonical form: what it costs and its distance to the full generator."""

    architecture: Architecture
    price: Price
    distance: float

    @property
    def rank(self) -> tuple[Any, ...]:
        """Smaller is better: the distance, then what it costs; the key makes the order total."""
        return self.distance, self.price.macs, self.architecture.key

    def to_json(self) -> dict[str, Any]:
        return {"architecture": self.architecture.to_json(), **asdict(self.price), "distance": self.distance}

    @staticmethod
    def from_json(entry: dict[str, Any]) -> "Evaluation":
        price = {key: value for key, value in entry.items() if key not in ("architecture", "distance")}
        return Evaluation(Architecture.from_json(entry["architecture"]), Price(**price), entry["distance"])


class Archive:
    """What is known: judged architectures by what they execute; several budgets share one.

    Args:
        space: what the architectures belong to.
        price: of any architecture, without running it.
        distances: of a batch of architectures; called once for each distinct one.
        on_new: told of each batch of new evaluations.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        price: PriceOf,
        distances: Distances,
        on_new: Callable[[list[Evaluation]], None] = lambda new: None,
    ) -> None:
        self.space, self.price, self._distances, self._on_new = space, price, distances, on_new
        self._known: dict[tuple[int, tuple[int, ...]], Evaluation] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, architecture: Architecture) -> bool:
        return architecture.key in self._known

    def __getitem__(self, architecture: Architecture) -> Evaluation:
        return self._known[architecture.key]

    @property
    def evaluations(self) -> list[Evaluation]:
        """All, in the order of judging."""
        return list(self._known.values())

    def judge(self, architectures: Iterable[Architecture]) -> list[Evaluation]:
        """Evaluate those that are not known yet; returns the new ones."""
        fresh = {one.key: self.space.canonical(one) for one in architectures if one not in self}
        if not fresh:
            return []
        batch = list(fresh.values())
        new = [
            Evaluation(one, self.price(one), distance)
            for one, distance in zip(batch, self._distances(batch), strict=True)
        ]
        self._known |= zip(fresh, new, strict=True)
        self._on_new(new)
        return new

    def fitting(self, budget: Budget) -> list[Evaluation]:
        """What costs no more than the budget, best first."""
        return sorted((one for one in self._known.values() if budget.fits(one.price)), key=lambda one: one.rank)

    def front(self, field: str) -> list[Evaluation]:
        """What nothing of the same or lower `field` of its price beats, cheapest first."""
        best: list[Evaluation] = []
        for one in sorted(self._known.values(), key=lambda one: (getattr(one.price, field), one.rank)):
            if not best or one.distance < best[-1].distance:
                best.append(one)
        return best
