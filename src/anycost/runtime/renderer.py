"""One set of shared weights that serves many architectures, from any number of threads."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from anycost.architecture import Architecture
from anycost.networks.generator import Generator, Noise
from anycost.runtime.compilation import require_compiler
from anycost.runtime.dtypes import resolve_dtype
from anycost.runtime.frozen import FrozenGenerator
from anycost.runtime.scratch import ScratchPool
from anycost.runtime.shared import SharedWeights

KEPT_BYTES = 512 << 20
"""What the frozen forms of all architectures may take together, beside the shared weights."""
KEPT_ARCHITECTURES = 256
"""How many of them there may be: those of a small space take more for their modules than for weights."""


class Renderer:
    """Renders any architecture of `generator`, whose weights it copies.

    What was frozen for an architecture is kept for the next time; architectures that have the same channels in a
    layer share it. Beyond `KEPT_BYTES` or `KEPT_ARCHITECTURES`, the one not asked for the longest is forgotten.

    Args:
        generator: of any space. It is moved to `device`; mapping and truncation are its own, whatever it has become.
        dtype: as for `freeze`.
        device: where it runs; default: where the generator lies.
        threads: CPU threads of one picture; None: PyTorch's present number. PyTorch hands it to Python threads that
            first use it while a picture is made, so let all renderers of a process have the same.
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
        if compile:
            require_compiler(self.device)
        self.generator, self.space = generator.to(self.device), generator.space
        self.dtype, self.threads = resolve_dtype(dtype, self.device), threads
        self._weights = SharedWeights(generator, self.dtype, self.device, compile=compile)
        self._pool = ScratchPool()
        self._frozen: OrderedDict[tuple[int, tuple[int, ...]], FrozenGenerator] = OrderedDict()
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
        with _threads(self.threads):
            return frozen(w, noise, cancelled)

    def frozen(self, architecture: Architecture) -> FrozenGenerator:
        """The frozen form of `architecture`, made at its first use."""
        self.generator.check(architecture)
        with self._lock:
            found = self._frozen.get(architecture.key)
            if found is not None:
                self._frozen.move_to_end(architecture.key)
                return found
            found = self._frozen[architecture.key] = FrozenGenerator(self._weights, architecture, self._pool)
            while len(self._frozen) > 1 and (len(self._frozen) > KEPT_ARCHITECTURES or self.kept_bytes > KEPT_BYTES):
                self._frozen.popitem(last=False)
            return found

    @property
    def kept_bytes(self) -> int:
        """What the frozen forms take beside the shared weights: laid-out weights that are no view of these."""
        layers = {layer for one in list(self._frozen.values()) for layer in one.own_layers()}
        return sum(layer.own_bytes for layer in layers)

    @torch.no_grad()
    def mapping(self, z: Tensor) -> Tensor:
        """z `[..., latent_dim]` -> w of the same shape, float32."""
        with torch.autocast(self.device.type, enabled=False):
            return self.generator.mapping(z.to(self.generator.constant)).float()

    @torch.no_grad()
    def styles(
        self, latents: Tensor, latents_in: str = "z", mixing_cutoff: int | None = None, truncation: float = 1.0
    ) -> Tensor:
        """Latents of any form that `Generator.styles` takes -> W+; `truncation` pulls to `truncation_center()`."""
        if truncation != 1 and self._center is None:
            self._center = self.generator.truncation_center()
        latents = latents.to(self.device)
        return self.generator.styles(latents, latents_in, mixing_cutoff, truncation, self._center)


@contextlib.contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    """PyTorch's threads of this thread's operators as `wanted`; what was set before comes back at the end."""
    before = torch.get_num_threads()
    if wanted is None or wanted == before:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)
