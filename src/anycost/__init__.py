"""anycost: one generator, trained once, that runs at any cost."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from anycost.networks.generator import Generator

__version__ = "0.1.0"


def load(name: "Path | str", device: "torch.device | str | None" = None) -> "Generator":
    """A ready generator from a weights file, a run folder or a repository of the hub: see `interchange/loading.py`."""
    from anycost.interchange.loading import load as load_generator

    return load_generator(name, device)
