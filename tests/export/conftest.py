"""What the tests of exports share: a small generator whose every parameter matters, its file, one thread."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.export.subject import Subject
from anycost.interchange.weights import generator_header, generator_tensors, write_weights
from anycost.networks.generator import Generator

SPACE = ArchitectureSpace(32, 0.125, 64, 3)
CARD = {"stage": "ada_ch", "data": "faces", "images": 1000, "weights": "ema"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def generator() -> Generator:
    torch.manual_seed(0)
    made = Generator(SPACE, latent_dim=16, mapping_layers=2)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith(("bias", "noise_strength")):
                parameter.add_(0.3 * torch.randn_like(parameter))
    made.truncation_mean = torch.randn(16)
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def weights(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generator's file, in a folder whose name has what names may have."""
    path = tmp_path_factory.mktemp("runs") / "tiny, [1] ä" / "weights.safetensors"
    path.parent.mkdir()
    write_weights(path, generator_tensors(generator), generator_header(generator, card=CARD, licence="CC0-1.0"))
    return path


@dataclass(frozen=True)
class Truth:
    """The generator in float64, called as its own tests call it."""

    generator: Generator

    def __call__(
        self, latents: Tensor, architecture: Architecture, latents_in: str, strength: float = 1.0, psi: float = 1.0
    ) -> Tensor:
        if latents.dim() == 3:
            missing = self.generator.num_styles - latents.shape[1]
            latents = torch.cat([latents, torch.full((len(latents), missing, 16), torch.nan)], 1)
        maps = [strength * layer.noise for layer in self.generator.styled_layers]
        mean = self.generator.truncation_center()
        return self.generator(latents.double(), architecture, latents_in[0], None, psi, mean, maps)


@pytest.fixture(scope="session")
def truth(generator: Generator) -> Truth:
    return Truth(copy.deepcopy(generator).double())


@pytest.fixture(scope="session")
def subject_of(generator: Generator) -> Callable[..., Subject]:
    """A subject of the generator: `subject_of("0.5@16", "w", batch=None)`."""
    header = generator_header(generator, card=CARD, licence="CC0-1.0")

    def make(architecture: str | Architecture, latents_in: str = "w", batch: int | None = None) -> Subject:
        chosen = SPACE.parse(architecture) if isinstance(architecture, str) else architecture
        return Subject(generator, header, "tiny", "0" * 16, chosen, SPACE.label(chosen), latents_in, batch)

    return make
