"""`anycost.load`: a ready generator by the name of its weights."""

from pathlib import Path

import torch

from anycost.interchange.locating import open_generator
from anycost.networks.generator import Generator


def load(name: Path | str, device: torch.device | str | None = None) -> Generator:
    """The generator of `name`, in float32, in evaluation mode and without gradients, on `device` (default: the CPU).

    Args:
        name: a weights file, the folder of a run or of a pipeline, or a repository of the hub: `OWNER/NAME`,
            `OWNER/NAME@REVISION`, `hf://OWNER/NAME@REVISION/FILE`. A path that exists wins.

    Raises `UserError` where there is nothing of that name, or what there is does not fit, with the reason.
    """
    generator, _ = open_generator(name)
    return generator if device is None else generator.to(device)
