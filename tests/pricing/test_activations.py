"""The closed form of activation memory equals a tracker of the maps alive during a real forward."""

import random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from anycost.architecture import ArchitectureSpace
from anycost.networks.generator import Generator
from anycost.pricing.activations import activation_bytes


class LiveMaps(TorchDispatchMode):
    """Peak bytes of storages that hold a map [1, C, r, r], r >= 4, made inside the context and not yet freed."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.owned = {tensor.untyped_storage().data_ptr() for tensor in generator.state_dict().values()}
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and self._is_map(out):
            reference = StorageWeakRef(out.untyped_storage())
            self.alive.setdefault(reference.cdata, (reference, out.untyped_storage().nbytes()))
        self.alive = {key: one for key, one in self.alive.items() if not one[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return out

    def _is_map(self, x: Tensor) -> bool:
        square = x.dim() == 4 and x.shape[0] == 1 and x.shape[-1] == x.shape[-2] >= 4
        return square and x.untyped_storage().data_ptr() not in self.owned


@pytest.mark.parametrize(
    ("resolution", "multiplier", "cap"), [(64, 0.25, 128), (32, 0.02, 64), (16, 2, 24), (128, 0.02, 16)]
)
def test_it_is_what_a_forward_holds(resolution: int, multiplier: float, cap: int) -> None:
    space = ArchitectureSpace(resolution, multiplier, cap, num_resolutions=1, min_channels=1, divided_by=1)
    generator = Generator(space, latent_dim=16, mapping_layers=1).requires_grad_(False)
    rng = random.Random(resolution)
    for _ in range(12):
        counts = [rng.randint(1, full) for full in space.full_channels]
        architecture = space.from_channels(counts, rng.choice([8, 16, 32, 64, 128][: resolution.bit_length() - 3]))
        with torch.no_grad(), LiveMaps(generator) as maps:
            generator(torch.randn(1, 16), architecture)
        assert maps.peak == activation_bytes(architecture)
