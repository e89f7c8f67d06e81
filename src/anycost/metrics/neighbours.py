"""Precision and recall of features by their nearest neighbours [Kynkaanniemi et al. 2019, Eq. 1 and 2]."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_BLOCK = 2048
_ROUNDING = 1e-12  # of two squared lengths: a squared distance below is that of a vector to itself


def precision_recall(
    real: NDArray, fake: NDArray, neighbours: int = 3, device: torch.device | str = "cpu", block: int = _BLOCK
) -> tuple[float, float]:
    """The share of fakes `[M, D]` that lie in the ball of some real `[N, D]`, and the share of reals in a fake's.

    A vector's ball reaches to the `neighbours`-th nearest other vector of its own set, that one included. Distances
    are float64, in squares of `block` by `block`: memory does not grow with N M. Needs more than `neighbours` vectors.
    """
    centre = torch.from_numpy(real.mean(axis=0, dtype=np.float64))
    real_set, fake_set = (_Set(features, centre, device, block) for features in (real, fake))
    real_reach, fake_reach = (_reaches(one, neighbours) for one in (real_set, fake_set))
    fake_inside = torch.zeros(len(fake), dtype=torch.bool, device=device)
    real_inside = torch.zeros(len(real), dtype=torch.bool, device=device)
    for rows, first in fake_set.blocks():
        for columns, second in real_set.blocks():
            distances = _squared_distances(first, second)
            fake_inside[rows] |= (distances <= real_reach[columns]).any(1)
            real_inside[columns] |= (distances <= fake_reach[rows, None]).any(0)
    return float(fake_inside.double().mean()), float(real_inside.double().mean())


class _Set:
    """Features that are brought to the device and to float64 block by block, around a common centre."""

    def __init__(self, features: NDArray, centre: Tensor, device: torch.device | str, block: int) -> None:
        self.features, self.centre, self.device, self.block = torch.from_numpy(features), centre, device, block

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, len(self.features), self.block):
            rows = slice(start, min(start + self.block, len(self.features)))
            yield rows, (self.features[rows].double() - self.centre).to(self.device)


def _reaches(one: _Set, neighbours: int) -> Tensor:
    """Squared distance of each vector to its k-th nearest other one: the (k + 1)-th of all, for itself is one."""
    reaches = []
    for _, first in one.blocks():
        nearest = first.new_empty(len(first), 0)
        for _, second in one.blocks():
            candidates = torch.cat([nearest, _squared_distances(first, second)], dim=1)
            nearest = candidates.topk(min(neighbours + 1, candidates.shape[1]), dim=1, largest=False).values
        reaches.append(nearest[:, -1])
    return torch.cat(reaches)


def _squared_distances(first: Tensor, second: Tensor) -> Tensor:
    lengths = first.square().sum(1, keepdim=True) + second.square().sum(1)
    distances = lengths - 2 * first @ second.T
    return torch.where(distances > _ROUNDING * lengths, distances, 0)
