"""One set of shared weights that serves many architectures, from any number of threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from anycost.architecture import Architecture
from anycost.networks.generator import Generator, Noise
from anycost.runtime.dtypes import resolve_dtype
from anycost.runtime.frozen import FrozenGenerator
from anycost.runtime.scratch import ScratchPool
from anycost.runtime.shared import SharedWeights

_KEPT = 8


class Renderer:
    """Renders any architecture of `generator`; what was frozen for one is kept for the next time.

    Args:
        generator: its weights must not change any more.
        dtype: as for `freeze`.
        device: where it runs; default: where the generator lies.
        threads: CPU threads of one picture; None: PyTorch's present number.
        compile: as for `freeze`.
    """

    def __init__(
        self,
        generator: Generator,
        dtype: torch.dtype | str = "auto",
        device: torch.device | str | None = None,
        threads: int | None = None,
        compile: bool = False,
    ) -> None:
        self.device = torch.device(device or generator.constant.device)
        self.generator, self.space = generator.to(self.device), generator.space
        self.dtype, self.threads, self.compile = resolve_dtype(dtype, self.device), threads, compile
        self._frozen: OrderedDict[tuple[int, tuple[int, ...]], FrozenGenerator] = OrderedDict()
        self._weights, self._pool = SharedWeights(generator, self.dtype, self.device), ScratchPool()
        self._lock = threading.Lock()
        self._center: Tensor | None = None

    def render(
        self,
        w: Tensor,
        architecture: Architecture | None = None,
        noise: Noise = "const",
        cancelled: Callable[[], bool] | None = None,
    ) -> Tensor:
        """The image `[B, 3, r, r]` of `architecture` (default: full); arguments as of `FrozenGenerator`."""
        frozen = self.frozen(architecture or self.space.full())
        if self.threads is not None and self.threads != torch.get_num_threads():
            torch.set_num_threads(self.threads)
        return frozen(w, noise, cancelled)

    def frozen(self, architecture: Architecture) -> FrozenGenerator:
        """The frozen form of `architecture`, made at its first use."""
        with self._lock:
            found = self._frozen.get(architecture.key)
            if found is None:
                found = FrozenGenerator(self._weights, architecture, self._pool)
                self._frozen[architecture.key] = found
                while len(self._frozen) > _KEPT:
                    self._frozen.popitem(last=False)
            self._frozen.move_to_end(architecture.key)
            return found

    @torch.no_grad()
    def mapping(self, z: Tensor) -> Tensor:
        """z `[..., latent_dim]` -> w of the same shape, float32."""
        return self.generator.mapping(z.to(self.generator.constant))

    @torch.no_grad()
    def styles(
        self, latents: Tensor, latents_in: str = "z", mixing_cutoff: int | None = None, truncation: float = 1.0
    ) -> Tensor:
        """Latents of any form that `Generator.styles` takes -> W+; `truncation` pulls to `truncation_center()`."""
        if truncation != 1 and self._center is None:
            self._center = self.generator.truncation_center()
        latents = latents.to(self.device)
        return self.generator.styles(latents, latents_in, mixing_cutoff, truncation, self._center)
