"""What is exported: one sub-generator as a module of tensors alone, latents and strength of the noise in, image out."""

import copy

import torch
from torch import Tensor, nn

from anycost.architecture import Architecture
from anycost.networks.generator import Generator
from anycost.runtime import PortableGenerator

LATENTS = ("w", "w_plus", "z")


class FromStyles(nn.Module):
    """`w [B, num_styles, latent_dim]` (W+), `noise_strength []` -> image `[B, 3, r, r]`, not clamped."""

    def __init__(self, generator: Generator, architecture: Architecture) -> None:
        super().__init__()
        self.synthesis = PortableGenerator(generator, architecture)

    def forward(self, w: Tensor, noise_strength: Tensor) -> Tensor:
        return self.synthesis(w, noise_strength)


class FromStyle(FromStyles):
    """`w [B, latent_dim]`, `noise_strength []` -> image: the same style at every layer."""

    def forward(self, w: Tensor, noise_strength: Tensor) -> Tensor:
        return self.synthesis(w[:, None].expand(-1, self.synthesis.num_styles, -1), noise_strength)


class FromLatent(FromStyle):
    """`z [B, latent_dim]`, `noise_strength []`, `truncation []` (psi) -> image, mapping network included."""

    center: Tensor

    def __init__(self, generator: Generator, architecture: Architecture) -> None:
        super().__init__(generator, architecture)
        self.mapping = copy.deepcopy(generator.mapping)
        self.register_buffer("center", generator.truncation_center())

    def forward(self, z: Tensor, noise_strength: Tensor, truncation: Tensor) -> Tensor:  # type: ignore[override]
        w = self.mapping(z)
        return super().forward(self.center + truncation * (w - self.center), noise_strength)


def build_graph(generator: Generator, architecture: Architecture, latents_in: str) -> FromStyles:
    """The module for latents of one of `LATENTS`, in evaluation mode, without gradients."""
    kind = {"w": FromStyle, "w_plus": FromStyles, "z": FromLatent}[latents_in]
    return kind(generator, architecture).eval().requires_grad_(False)


def example_inputs(generator: Generator, architecture: Architecture, latents_in: str, batch: int) -> dict[str, Tensor]:
    """Inputs of that module by name, in order, to trace with."""
    styles = 2 * (architecture.resolution.bit_length() - 1) - 2
    shape = (batch, styles, generator.latent_dim) if latents_in == "w_plus" else (batch, generator.latent_dim)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    scalars = {"noise_strength": torch.ones(())} | ({"truncation": torch.ones(())} if latents_in == "z" else {})
    return {"z" if latents_in == "z" else "w": latents, **scalars}
