"""What one step draws: a pure function of (seed, index of the step's first image) [Anycost, Sec. 3.1-3.2].

Resolutions are sampled without replacement, independently for the two phases; the reals' architecture is an
independent draw of the same mode [A Sec. 4].
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.randomness import normal, python_random

ArchitectureSampler = Callable[[random.Random], Architecture]


@dataclass(frozen=True)
class StepPlan:
    """The discrete draws of one step. `*_cutoff` is None where the batch does not mix styles."""

    fake_architecture: Architecture
    real_architecture: Architecture
    discriminator_resolutions: tuple[int, ...]
    discriminator_cutoff: int | None
    r1_resolutions: tuple[int, ...]
    generator_architecture: Architecture
    generator_resolutions: tuple[int, ...]
    generator_cutoff: int | None


@dataclass(frozen=True)
class Planner:
    """Draws plans and latents.

    Args:
        sampler: draws the architecture of a phase.
        resolutions: those that are trained.
        num_sampled: how many of them a phase uses.
        num_r1: how many of them the R1 phase uses.
        num_styles: layers that a mixing cutoff may fall between.
        mixing_probability: chance that a phase mixes two styles; decided once per batch.
        rank: set where every process draws its own architecture (the official code), else 0.
    """

    seed: int
    sampler: ArchitectureSampler
    resolutions: tuple[int, ...]
    num_sampled: int
    num_styles: int
    mixing_probability: float
    rank: int = 0
    num_r1: int = 1

    def plan(self, first_image: int) -> StepPlan:
        shared = python_random(self.seed, "step", first_image)
        own = python_random(self.seed, "architecture", first_image, self.rank)
        return StepPlan(
            fake_architecture=self.sampler(own),
            real_architecture=self.sampler(own),
            generator_architecture=self.sampler(own),
            discriminator_resolutions=self._resolutions(own, self.num_sampled),
            generator_resolutions=self._resolutions(own, self.num_sampled),
            r1_resolutions=self._resolutions(own, self.num_r1),
            discriminator_cutoff=self._cutoff(shared),
            generator_cutoff=self._cutoff(shared),
        )

    def _resolutions(self, rng: random.Random, number: int) -> tuple[int, ...]:
        return tuple(sorted(rng.sample(self.resolutions, number)))

    def _cutoff(self, rng: random.Random) -> int | None:
        mixes, cutoff = rng.random() < self.mixing_probability, rng.randint(1, self.num_styles - 1)
        return cutoff if mixes else None


@dataclass(frozen=True)
class LatentDraws:
    """Latents and noise maps of images, by their indices in the run."""

    seed: int
    latent_dim: int

    def latents(self, phase: str, indices: Sequence[int], mixing: bool, like: Tensor) -> Tensor:
        """`[B, 2, latent_dim]` where styles mix, else `[B, 1, latent_dim]`; on the device, in the dtype of `like`."""
        codes = normal(self.seed, f"{phase}/z", indices, (2, self.latent_dim), like.device, like.dtype)
        return codes if mixing else codes[:, :1]

    def noises(
        self, phase: str, indices: Sequence[int], shapes: Sequence[tuple[int, ...]], like: Tensor
    ) -> list[Tensor]:
        """One `[B, *shape]` map per shape: independent per image."""
        sizes = [math.prod(shape) for shape in shapes]
        flat = normal(self.seed, f"{phase}/noise", indices, (sum(sizes),), like.device, like.dtype)
        return [part.unflatten(1, shape) for part, shape in zip(flat.split(sizes, 1), shapes, strict=True)]


def full_architecture(space: ArchitectureSpace) -> ArchitectureSampler:
    """The sampler of the stages without sub-channels."""
    full = space.full()
    return lambda rng: full


def sampled_architecture(space: ArchitectureSpace, mode: str) -> ArchitectureSampler:
    """The sampler of the adaptive-channel stage."""
    return lambda rng: space.sample(rng, mode)
