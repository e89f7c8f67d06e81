"""Consistency: how far the images of sub-generators are from the full generator's [Anycost, Fig. 5 and Table 5]."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from anycost.architecture import Architecture
from anycost.metrics.protocols import MetricProtocol
from anycost.networks.generator import Generator
from anycost.networks.perceptual import PerceptualDistance
from anycost.sampling import sample

Resize = Callable[[Tensor, int], Tensor]


def antialiased(images: Tensor, resolution: int) -> Tensor:
    """Bilinear resize of `[B, 3, R, R]`, antialiased: the pyramid's default filter."""
    return F.interpolate(images, size=(resolution, resolution), mode="bilinear", antialias=True)


@torch.no_grad()
def consistency(
    generator: Generator,
    architectures: Sequence[Architecture],
    protocol: MetricProtocol,
    perceptual: PerceptualDistance,
    batch_size: int,
    resize: Resize = antialiased,
) -> list[float]:
    """Mean perceptual distance of each architecture's images to the full generator's; 0 for the full one.

    Both see the same latents and the same fixed noises. The full image is brought to the architecture's resolution
    by `resize`, the filter of the data pyramid, as the training's consistency loss does (Eq. 5).
    """
    totals = [0.0] * len(architectures)
    for start in range(0, protocol.samples, batch_size):
        seeds = protocol.seeds[start : start + batch_size]
        target = _images(generator, generator.space.full(), seeds, protocol)
        for k, architecture in enumerate(architectures):
            images = _images(generator, architecture, seeds, protocol)
            side = architecture.resolution
            resized = target if side == target.shape[-1] else resize(target, side)
            totals[k] += perceptual(images, resized).double().sum().item()
    return [total / protocol.samples for total in totals]


def _images(
    generator: Generator, architecture: Architecture, seeds: Sequence[int], protocol: MetricProtocol
) -> Tensor:
    records = sample(
        generator, architecture, seeds, len(seeds), noise=protocol.noise, truncation=protocol.truncation
    )
    return next(records).images
