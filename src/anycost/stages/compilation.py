"""`trainer.compile`: torch.compile for the parts of the networks that repeat, one graph per layer and shape."""

import torch

from anycost.networks.discriminator import Trunk
from anycost.networks.generator import Generator

# One graph per layer, width pair and gradient mode: far more than Dynamo's default of 8 for one function.
_GRAPHS = 1024


def compile_networks(generator: Generator, discriminator: Trunk) -> None:
    """Compile every styled convolution, toRGB and residual block in place; names in the state dict stay.

    Phases with second derivatives (R1, path length) run the same modules eagerly, since compiled graphs have none.
    """
    torch._dynamo.config.recompile_limit = _GRAPHS
    torch._dynamo.config.accumulated_recompile_limit = _GRAPHS
    for module in (*generator.layers, *generator.to_rgb, *discriminator.blocks.values()):
        module.compile(dynamic=False)
