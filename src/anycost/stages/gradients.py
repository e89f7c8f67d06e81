"""Gradients of one network in one flat buffer: missing ones are zeros, one all-reduce averages them all.

Under DDP the module stays unwrapped; every phase averages just its own network (design decision 4). The phase's
logged scalars travel in the same buffer.
"""

import math
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def average(tensor: Tensor) -> Tensor:
    """The mean of `tensor` over the processes, in place."""
    if world_size() > 1:
        dist.all_reduce(tensor)
        tensor /= world_size()
    return tensor


class FlatGradients:
    """Owns the `.grad` of `parameters` as views of one buffer, in the parameters' own memory layouts."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        sizes = [parameter.numel() for parameter in self.parameters]
        self.buffer = torch.zeros(sum(sizes), device=self.parameters[0].device, dtype=self.parameters[0].dtype)
        self._views = [
            part.as_strided(parameter.shape, parameter.stride())
            for part, parameter in zip(self.buffer.split(sizes), self.parameters, strict=True)
        ]

    def zero(self) -> None:
        """Start a phase: all gradients become zeros, also those that nothing will reach."""
        self.buffer.zero_()
        for parameter, view in zip(self.parameters, self._views, strict=True):
            parameter.grad = view

    def average(self, scalars: dict[str, Tensor]) -> dict[str, float]:
        """Average gradients and scalars over the processes; returns the scalars."""
        values = torch.stack([value.detach().to(self.buffer) for value in scalars.values()])
        if world_size() > 1:
            joint = average(torch.cat([self.buffer, values]))
            self.buffer.copy_(joint[: len(self.buffer)])
            values = joint[len(self.buffer) :]
        return dict(zip(scalars, values.tolist(), strict=True))

    def finite(self) -> bool:
        """Whether every gradient is a number; one pass over the buffer."""
        return math.isfinite(float(self.buffer.sum()))
