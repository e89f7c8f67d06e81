"""From W+ codes to pictures, a batch at a time, through the renderer of `anycost.runtime`."""

from collections.abc import Iterator

from torch import Tensor

from anycost.architecture import Architecture
from anycost.generation.styles import Styles
from anycost.runtime import Renderer
from anycost.sampling import seeded_noise

_PIXELS = 2**20  # of a batch: one picture of 1024 px, sixteen of 256; more is no faster and takes memory
_LARGEST = 64


def render(
    renderer: Renderer,
    styles: Styles,
    architecture: Architecture,
    noise: str = "const",
    batch_size: int | None = None,
) -> Iterator[Tensor]:
    """Pictures of all `styles` in their order: float32 `[b, 3, r, r]` on the CPU, nominal range [-1, 1], not clamped.

    `noise` is `"const"`, `"none"`, or `"random"`: drawn by the people's noise seeds, the same on every machine.
    `batch_size` is chosen by the resolution where it is None.
    """
    size = batch_size or batch_for(architecture.resolution)
    for start in range(0, len(styles), size):
        stop = min(start + size, len(styles))
        seeds = styles.noise_seeds[start:stop]
        maps = seeded_noise(renderer.generator, seeds, architecture.resolution) if noise == "random" else noise
        yield renderer.render(styles.batch(start, stop), architecture, noise=maps).float().cpu()


def batch_for(resolution: int) -> int:
    """Pictures of a batch at this output resolution."""
    return min(max(_PIXELS // resolution**2, 1), _LARGEST)
