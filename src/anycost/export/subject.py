"""What an export is made of, and the judgement whether it renders what the plain generator renders."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

import anycost
from anycost.architecture import Architecture
from anycost.errors import UserError
from anycost.export.graph import FromStyles, build_graph, example_inputs
from anycost.interchange.weights import Header
from anycost.networks.generator import Generator
from anycost.sampling import seeded_latents

Run = Callable[[Mapping[str, Tensor]], Tensor]
"""What an exported file does: inputs by name -> image `[B, 3, r, r]`, float32."""

TOLERANCE = 1e-4
"""Largest difference to the plain generator that an export in float32 may have; images have the range [-1, 1]."""
HALF_TOLERANCE = 2e-2
"""The same for weights stored in float16: two and a half of 255 levels."""
_STRENGTHS_AND_PSI = ((1.0, 1.0), (0.0, 0.7), (0.5, 1.0))


@dataclass(frozen=True)
class Subject:
    """One sub-generator and the form of its inputs.

    Args:
        generator: in evaluation mode, float32, on the CPU; the reference.
        header: of its file; `name` and `identity` say which file that is.
        architecture: what is exported; `label` is what the user called it.
        latents_in: `w` `[B, latent_dim]`, `w_plus` `[B, num_styles, latent_dim]`, or `z` (with mapping and psi).
        batch: pictures of one call; None: any number.
    """

    generator: Generator
    header: Header
    name: str
    identity: str
    architecture: Architecture
    label: str
    latents_in: str = "w"
    batch: int | None = None

    @cached_property
    def graph(self) -> FromStyles:
        return build_graph(self.generator, self.architecture, self.latents_in)

    @property
    def traced(self) -> dict[str, Tensor]:
        """Inputs to trace with; a batch of one would be taken for a constant."""
        return example_inputs(self.generator, self.architecture, self.latents_in, self.batch or 2)

    @property
    def dynamic_shapes(self) -> dict[str, Any] | None:
        """Which dimensions of the inputs may vary, as `torch.export` wants to be told."""
        if self.batch is not None:
            return None
        batch = torch.export.Dim("batch", min=1, max=1 << 16)
        return {name: {0: batch} if value.dim() else {} for name, value in self.traced.items()}

    @property
    def signature(self) -> str:
        """`w [batch, 512], noise_strength [] -> image [batch, 3, 64, 64]`."""
        batch, r = str(self.batch or "batch"), self.architecture.resolution
        sizes = {name: [batch, *map(str, value.shape[1:])][: value.dim()] for name, value in self.traced.items()}
        inputs = ", ".join(f"{name} [{', '.join(each)}]" for name, each in sizes.items())
        return f"{inputs} -> image [{batch}, 3, {r}, {r}]"

    @property
    def description(self) -> dict[str, Any]:
        """What exported files say of themselves: JSON values."""
        return {
            "anycost": anycost.__version__,
            "architecture": {"label": self.label, **self.architecture.to_json()},
            "signature": self.signature,
            "parent": {"name": self.name, "identity": self.identity, "header": asdict(self.header)},
            "licence": self.header.licence,
        }

    # ---- the reference

    @cached_property
    def center(self) -> Tensor:
        """Where truncation pulls styles to, `[latent_dim]`."""
        return self.generator.truncation_center()

    def inputs(self, seeds: range, noise_strength: float = 1.0, truncation: float = 1.0) -> dict[str, Tensor]:
        """Inputs that show the persons of `seeds`; psi is an input with `latents_in=z` alone."""
        scalars = {"noise_strength": torch.tensor(noise_strength)}
        z = seeded_latents(self.generator, seeds)
        if self.latents_in == "z":
            return {"z": z, **scalars, "truncation": torch.tensor(truncation)}
        w = self.generator.mapping(z)
        if self.latents_in == "w_plus":  # each layer another style, so that none can be taken for another
            styles = self.traced["w"].shape[1]
            mixed = torch.linspace(0, 1, styles)[:, None]
            w = torch.lerp(w[:, None].expand(-1, styles, -1), w.flip(-1)[:, None], mixed)
        return {"w": w, **scalars}

    def expected(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The image that the plain generator renders from the same inputs."""
        latents, strength = next(iter(inputs.values())), inputs["noise_strength"]
        if latents.dim() == 3:  # codes of layers that do not run
            missing = self.generator.num_styles - latents.shape[1]
            latents = torch.cat([latents, latents[:, -1:].expand(-1, missing, -1)], dim=1)
        psi = float(inputs.get("truncation", torch.tensor(1.0)))
        return self.generator(
            latents,
            self.architecture,
            latents_in="z" if self.latents_in == "z" else "w",
            truncation=psi,
            truncation_mean=None if psi == 1 else self.center,
            noise=[layer.noise * strength for layer in self.generator.styled_layers],
        )

    @torch.no_grad()
    def check(self, run: Run, tolerance: float = TOLERANCE) -> float:
        """The largest difference of `run` to the plain generator, over batches, strengths and psi.

        Raises `UserError` for one above `tolerance`, or for images that are not numbers.
        """
        errors = []
        for batch in (1, 3) if self.batch is None else (self.batch,):
            for strength, psi in _STRENGTHS_AND_PSI:
                inputs = self.inputs(range(batch), strength, psi)
                errors.append((run(inputs) - self.expected(inputs)).abs().max())
        error = float(torch.stack(errors).max())
        if not error <= tolerance:
            raise UserError(
                f"the exported architecture={self.label} differs from the plain generator by {error:.2g}, more than "
                f"{tolerance:g}; nothing was written. Please report this with the versions of torch and onnxruntime"
            )
        return error
