"""What a search minimises: the perceptual distance of a sub-generator's pictures to the full generator's."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from anycost.architecture import Architecture
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.networks.perceptual import PerceptualDistance
from anycost.sampling import seeded_latents

LARGEST_SIDE = 256
"""Pictures are compared at this side at most: what LPIPS sees, and what the paper's own searches used."""
FIRST_SEED = 1_000_000
"""Apart from the seeds of `anycost evaluate`: what a search was tuned on is not what it is judged by."""


class Objective:
    """Mean perceptual distance to the full generator's pictures, at fixed latents and fixed noises.

    All candidates are compared at ONE side, min(full resolution, 256): a picture of lower resolution is enlarged
    (bilinear), one of higher resolution reduced (antialiased). Were each compared at its own resolution, as the
    consistency of training is, the target of a low-resolution candidate would lose its detail before the comparison,
    low resolutions would look good for showing nothing, and distances of two resolutions would have two scales.

    The full generator's pictures are computed once. Candidates are judged together, one batch of latents after
    the other, so that the features of a batch of targets serve all of them; nothing depends on who is judged with
    whom, to the bit.

    Raises `UserError`, at once or in `distances`, where an architecture's pictures are not finite.

    Args:
        generator: its own fixed noise maps are used, one for all latents.
        perceptual: the distance; `name` names it in records.
        latents: how many pictures; their seeds are `first_seed`, `first_seed + 1`, ...
        truncation: psi of the styles.
        batch_size: pictures at once.
        pulse: called before every batch of pictures; what it raises ends the work.
    """

    def __init__(
        self,
        generator: Generator,
        perceptual: PerceptualDistance,
        name: str,
        latents: int = 64,
        truncation: float = 1.0,
        first_seed: int = FIRST_SEED,
        batch_size: int = 32,
        pulse: Callable[[], object] = lambda: None,
    ) -> None:
        self.generator, self.perceptual, self.name = generator, perceptual, name
        self._pulse = pulse
        self.latents, self.truncation, self.first_seed = latents, truncation, first_seed
        self.side = min(generator.space.resolution, LARGEST_SIDE)
        self._styles: list[Tensor] = []
        self._targets: list[Tensor] = []
        with torch.no_grad():
            mean = generator.truncation_center() if truncation != 1 else None
            for start in range(0, latents, batch_size):
                pulse()
                seeds = range(first_seed + start, first_seed + min(start + batch_size, latents))
                z = seeded_latents(generator, seeds)
                self._styles.append(generator.styles(z, truncation=truncation, truncation_mean=mean))
                self._targets.append(self._picture(self._styles[-1], generator.space.full()))

    @torch.no_grad()
    def distances(self, architectures: Sequence[Architecture]) -> list[float]:
        """One distance for each architecture, at least 0 (0: the full one), rounded to 7 digits."""
        totals = [0.0] * len(architectures)
        for styles, target in zip(self._styles, self._targets, strict=True):
            wanted = self.perceptual.features(target)
            for k, architecture in enumerate(architectures):
                self._pulse()
                found = self.perceptual.features(self._picture(styles, architecture))
                totals[k] += self.perceptual.between(found, wanted).double().sum().item()
                if not math.isfinite(totals[k]):
                    raise self._not_finite("distances", architecture)
        # Float32 features carry no more digits; files stay readable and equal where the last bits differ.
        return [float(f"{total / self.latents:.7g}") for total in totals]

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything that a distance depends on but the weights; JSON-able."""
        return {
            "name": f"search{self.latents}_{self.name}",
            "perceptual": self.name,
            "latents": self.latents,
            "first_seed": self.first_seed,
            "noise": "const",
            "truncation": self.truncation,
            "side": self.side,
            "resize": "bilinear, antialiased where reduced",
            "dtype": "float32",
        }

    def _picture(self, styles: Tensor, architecture: Architecture) -> Tensor:
        """`[B, 3, side, side]`."""
        resolution = architecture.resolution
        images = self.generator.synthesize(styles, architecture, "const", (resolution,))[resolution]
        if not images.isfinite().all():  # looked for here: a distance clamps infinite pixels
            raise self._not_finite("pictures", architecture)
        if resolution == self.side:
            return images
        return F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=resolution > self.side)

    def _not_finite(self, what: str, architecture: Architecture) -> UserError:
        label = self.generator.space.label(architecture)
        return UserError(
            f"the {what} of architecture {label} ({architecture.resolution} px, channels "
            f"{' '.join(map(str, architecture.key[1]))}) are not finite: the training diverged, or the "
            f"file is damaged: give weights= of an earlier step"
        )
