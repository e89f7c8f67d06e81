"""Random numbers that are pure functions of (seed, name of the draw, picture index), a whole batch at a time."""

import torch
from torch import Tensor

from anycost.randomness import derive_seed

MASK = 0xFFFFFFFF


def mix(h: Tensor) -> Tensor:
    """A bijection of 32-bit integers (held in int64) in which every input bit moves every output bit."""
    h = ((h ^ (h >> 16)) * 0x7FEB352D) & MASK
    h = ((h ^ (h >> 15)) * 0x846CA68B) & MASK
    return h ^ (h >> 16)


class Draws:
    """Named draws for a batch of pictures; each returns float32 `[B]` (or bool `[B]` for `chance`)."""

    def __init__(self, seed: int, indices: Tensor) -> None:
        self.seed = seed
        self.base = mix((mix(indices & MASK) + (indices >> 32)) & MASK)  # of indices, int64 [B]

    def bits(self, name: str) -> Tensor:
        """32 random bits per picture, as int64 `[B]`."""
        return mix(self.base ^ (derive_seed(self.seed, "faces", name) & MASK))

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform in [low, high)."""
        return (self.bits(name) >> 8).float() * ((high - low) / 2**24) + low

    def bell(self, name: str, low: float, high: float) -> Tensor:
        """The mean of two uniform numbers in [low, high): most likely in the middle."""
        bits = self.bits(name)
        return ((bits & 0xFFFF) + (bits >> 16)).float() * ((high - low) / 2**17) + low

    def chance(self, name: str, probability: float | Tensor) -> Tensor:
        """True with the given probability, one value for all or one per picture."""
        return self.uniform(name) < probability

    def choice(self, name: str, weights: list[float]) -> Tensor:
        """int64 `[B]`: the place in `weights`, each as likely as its weight (they sum to 1)."""
        edges = torch.tensor(weights).cumsum(0)[:-1]
        return torch.bucketize(self.uniform(name), edges, right=True)
