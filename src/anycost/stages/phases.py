"""A phase: one optimiser step of one network, from zeroed gradients over micro-batches to the averaged update."""

import contextlib
import math
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from anycost.stages.stage import Stage


class Diverged(Exception):
    """A loss or a gradient is not finite; raised before the optimiser steps, so the weights are still good."""

    def __init__(self, phase: str, step: int, images: int, values: dict[str, float]) -> None:
        self.phase, self.step, self.images = phase, step, images
        listed = ", ".join(f"{name}={value:g}" for name, value in values.items())
        super().__init__(f"not finite at step {step} ({images} images) in the {phase} phase: {listed}")


class Phase:
    """Context of a phase of `stage`: entering zeroes the gradients of `network` and freezes its other networks.

    Leaving without an error averages gradients and scalars over the processes, checks that they are finite, steps the
    optimiser and adds the scalars to `stage.values`.

    Args:
        num_shares: micro-batches whose losses are averaged.
        full_precision: autocast off, and no compiled kernels, which lack second derivatives.
    """

    def __init__(
        self, stage: "Stage", network: str, num_shares: int, name: str, full_precision: bool = False
    ) -> None:
        self.stage, self.network, self.num_shares, self.name = stage, network, num_shares, name
        self.full_precision = full_precision
        self.scalars: dict[str, Tensor] = {}

    def __enter__(self) -> "Phase":
        stage = self.stage
        for name in stage.adam:
            getattr(stage, name).requires_grad_(name == self.network)
        stage.flat[self.network].zero()
        self.context = contextlib.ExitStack()
        if self.full_precision:
            self.context.enter_context(torch.autocast(stage.device.type, enabled=False))
            if stage.config.trainer.compile:
                self.context.enter_context(torch.compiler.set_stance("force_eager"))
        return self

    def backward(self, loss: Tensor, scalars: dict[str, Tensor]) -> None:
        """Accumulate the gradient of one micro-batch's `loss` and its `scalars`."""
        with torch.autocast(self.stage.device.type, enabled=False):  # backward has the dtypes of forward already
            (loss / self.num_shares).backward()
        for name, value in scalars.items():
            part = value.detach() / self.num_shares
            self.scalars[name] = self.scalars[name] + part if name in self.scalars else part

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.context.close()
        if error is not None:
            return
        stage, gradients = self.stage, self.stage.flat[self.network]
        values = gradients.average(self.scalars)
        stage.values |= values
        if stage.config.callbacks.nan_guard and not (all(map(math.isfinite, values.values())) and gradients.finite()):
            raise Diverged(self.name, stage.clock.step + 1, stage.clock.images, values)
        stage.adam[self.network].step()
