"""Who is drawn: people as W+ codes, made when they are needed, each with a name and a seed of its noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.sampling import seeded_latents


@dataclass(frozen=True)
class Truncation:
    """psi, and how many layers it acts on: `w <- center + psi (w - center)` [Anycost, released code].

    Args:
        psi: 1 leaves everything as it is, 0 gives the mean face.
        center: `[latent_dim]`; may be None where psi is 1.
        cutoff: the first layers of W+ that are pulled; None for all.
    """

    psi: float = 1.0
    center: Tensor | None = None
    cutoff: int | None = None

    @classmethod
    def of(cls, generator: Generator, psi: float, cutoff: int | None = None) -> "Truncation":
        """Towards the generator's `truncation_center()`, which is only asked for where psi is not 1."""
        if cutoff is not None and not 0 <= cutoff <= generator.num_styles:
            raise UserError(
                f"truncation_cutoff={cutoff} is not within 0 .. {generator.num_styles}, the layers there are"
            )
        return cls(psi, None if psi == 1 else generator.truncation_center(), cutoff)

    def __call__(self, w_plus: Tensor) -> Tensor:
        """W+ `[B, num_styles, latent_dim]` of the same shape, truncated."""
        if self.center is None:
            return w_plus
        pulled = torch.lerp(self.center.to(w_plus), w_plus, self.psi)
        cutoff = w_plus.shape[1] if self.cutoff is None else self.cutoff
        return torch.cat([pulled[:, :cutoff], w_plus[:, cutoff:]], dim=1)


NO_TRUNCATION = Truncation()


@dataclass(frozen=True)
class Styles:
    """People in an order: what is rendered, whatever becomes of the pictures.

    Args:
        names: one a person, fit for file names.
        noise_seeds: one a person, for noise maps drawn by seed.
        batch: `batch(start, stop)` gives the W+ codes `[stop - start, num_styles, latent_dim]` of these people.
    """

    names: Sequence[str]
    noise_seeds: Sequence[int]
    batch: Callable[[int, int], Tensor]

    def __len__(self) -> int:
        return len(self.names)

    def all(self) -> Tensor:
        """The W+ codes of everybody at once."""
        return self.batch(0, len(self))


def seed_styles(
    generator: Generator, seeds: Sequence[int], truncation: Truncation = NO_TRUNCATION, seeds_of: str = "anycost"
) -> Styles:
    """The people of these seeds, as `sampling.sample` shows them: a seed is one face everywhere.

    `seeds_of="nvidia"`: as NVIDIA's programs show them.
    """

    def batch(start: int, stop: int) -> Tensor:
        return code_styles(generator, seeded_latents(generator, seeds[start:stop], seeds_of), "z", truncation)

    return Styles([f"seed{seed:04d}" for seed in seeds], seeds, batch)


@torch.no_grad()
def code_styles(generator: Generator, codes: Tensor, latents_in: str, truncation: Truncation = NO_TRUNCATION) -> Tensor:
    """Codes `[B, latent_dim]`, `[B, 1, latent_dim]` or `[B, num_styles, latent_dim]`, z or w -> W+, truncated."""
    return truncation(generator.styles(codes.to(generator.constant.device), latents_in))
