"""What a measure is: a protocol with the networks that judge, as something that accumulates batch by batch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from anycost.metrics.batches import Batch
from anycost.metrics.protocols import MetricProtocol
from anycost.metrics.states import State


@dataclass(frozen=True)
class Sampling:
    """How images are made. Measures of equal sampling share one pass; `pairs`: `path_length` needs both ends."""

    noise: str
    truncation: float
    seed: int
    pairs: bool


class Measure(ABC):
    """One metric. Samples beyond the protocol's count are ignored, so that measures of other counts can share a pass.

    Attributes:
        needs_target: `Batch.target` must be given.
        needs_reals: `values` needs the state of the real images.
    """

    needs_target: ClassVar[bool] = False
    needs_reals: ClassVar[bool] = False

    def __init__(self, protocol: MetricProtocol) -> None:
        self.protocol = protocol

    @property
    def sampling(self) -> Sampling:
        protocol = self.protocol
        return Sampling(protocol.noise, protocol.truncation, protocol.seed, protocol.kind == "path_length")

    @property
    @abstractmethod
    def network(self) -> str:
        """Names the exact weights of the network that judges; part of every record."""

    @abstractmethod
    def empty(self) -> State:
        """The state of no image."""

    def add(self, state: Any, batch: Batch, index: int) -> None:
        """Take in the generated images `index, index + 1, ...`, in place.

        Raises `UserError` with the sample's index where an image or its features are not finite.
        """
        batch.check(index)
        count = min(len(batch), self.protocol.samples - index)
        if count > 0:
            self._add(state, batch, index, count)

    @abstractmethod
    def _add(self, state: Any, batch: Batch, index: int, count: int) -> None:
        """The first `count` images of the batch."""

    def real_empty(self) -> State | None:
        """What real images accumulate into; None where none are needed."""
        return None

    def add_reals(self, state: Any, batch: Batch, index: int) -> None:
        """Take in the real images `index, index + 1, ...`, in place."""
        raise NotImplementedError(f"{self.protocol.name} needs no real images")

    @property
    def real_key(self) -> dict[str, str] | None:
        """What the state of the reals depends on besides the data: equal keys share one state."""
        return None

    @abstractmethod
    def values(self, state: Any, reals: Any = None) -> dict[str, float]:
        """The value of each part, of as many images as there are; empty while they are too few for one."""

    def is_biased(self, state: Any, reals: Any = None) -> bool:
        """Whether there are too few images for the value to be compared with one of more images."""
        return False

    def error(self, state: Any) -> float | None:
        """Standard error of the value; None where it is not a mean over images."""
        return None
