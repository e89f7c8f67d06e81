"""Generation as a stream of small records: images with their latents, architecture, seeds and index.

A seed is one person: its latent and its noise depend on the seed alone, so every architecture, batch size and
process shows the same face under the same seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anycost.architecture import Architecture
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.randomness import normal


@dataclass(frozen=True)
class SampleRecord:
    """One batch: `images` float `[B, 3, r, r]`, nominal range [-1, 1], not clamped, and what made them.

    `latents` are z `[B, latent_dim]`; `index` is the place of the first image in the sequence of seeds.
    """

    images: Tensor
    latents: Tensor
    architecture: Architecture
    seeds: tuple[int, ...]
    index: int


def sample(
    generator: Generator,
    architecture: Architecture | None,
    seeds: Sequence[int],
    batch_size: int,
    noise: Literal["random", "const", "none"] = "random",
    truncation: float = 1.0,
    truncation_mean: Tensor | None = None,
) -> Iterator[SampleRecord]:
    """Yield the images of `seeds`, `batch_size` at a time, without gradients, on the generator's device.

    `noise="random"` draws the noise maps by seed; `"const"` takes the generator's own, one for all;
    `"none"` takes none.
    `truncation` (psi) pulls every style towards `truncation_mean` `[latent_dim]`, default `truncation_center()`.
    """
    architecture = architecture or generator.space.full()
    if truncation != 1 and truncation_mean is None:
        truncation_mean = generator.truncation_center()
    for start in range(0, len(seeds), batch_size):
        batch = tuple(seeds[start : start + batch_size])
        latents = seeded_latents(generator, batch)
        maps = seeded_noise(generator, batch, architecture.resolution) if noise == "random" else noise
        with torch.no_grad():
            images = generator(
                latents, architecture, truncation=truncation, truncation_mean=truncation_mean, noise=maps
            )
        yield SampleRecord(images, latents, architecture, batch, start)


def seeded_latents(generator: Generator, seeds: Sequence[int], seeds_of: str = "anycost") -> Tensor:
    """Standard normal z `[len(seeds), latent_dim]` on the generator's device, equal on every device.

    With `seeds_of="nvidia"`, those that NVIDIA's StyleGAN programs draw under the same seeds; these end at 2^32 - 1.
    """
    if seeds_of == "anycost":
        return normal(0, "sample-latent", seeds, (generator.latent_dim,)).to(generator.constant)
    if beyond := [seed for seed in seeds if seed >= 2**32]:
        raise UserError(f"seeds_of=nvidia: {beyond[0]} is above {2**32 - 1}, the largest of NumPy's seeds")
    rows = [np.random.RandomState(seed).randn(generator.latent_dim) for seed in seeds]
    return torch.from_numpy(np.stack(rows)).float().to(generator.constant)


def seeded_noise(generator: Generator, seeds: Sequence[int], resolution: int) -> list[Tensor]:
    """Noise maps `[B, 1, r, r]` of the layers up to `resolution`: a prefix of those of any higher one."""
    return [
        normal(0, f"sample-noise-{layer}", seeds, shape).to(generator.constant)
        for layer, shape in enumerate(generator.noise_shapes(resolution))
    ]


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] as they are saved: clamped and rounded to uint8, the inverse of `u8 / 127.5 - 1`."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """uint8 `[B, 3, r, r]` to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1
