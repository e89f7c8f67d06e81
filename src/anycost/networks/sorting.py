"""Channel sorting: the most important channels come first, so that prefixes are good sub-networks [Anycost, Sec. 3.2].

Importance of a channel is decided by its consumer: the summed kernel magnitude times the mean style magnitude.
The function of the full generator does not change.
"""

import torch
from torch import Tensor

from anycost.networks.generator import Generator
from anycost.networks.ops import ModulatedConv, StyledConv


@torch.no_grad()
def input_importance(layer: ModulatedConv, w: Tensor) -> Tensor:
    """`sum |W[:, c]| * mean |modulation(w)_c|` per input channel: `w [N, latent_dim] -> [in]`."""
    magnitude = layer.weight.abs().sum((0, 2, 3))
    return magnitude * layer.modulation(w).abs().mean(0)


@torch.no_grad()
def sort_channels(generator: Generator, num_latents: int = 100_000, seed: int = 0) -> None:
    """Permute the generator's channels in place, most important first, walking from the top block down."""
    z = torch.randn(num_latents, generator.latent_dim, generator=torch.Generator().manual_seed(seed))
    w = torch.cat([generator.mapping(part.to(generator.constant)) for part in z.split(10_000)])
    order = _order(generator.rgb_layers[-1], w)
    for level in reversed(range(len(generator.to_rgb))):
        _permute_inputs(generator.rgb_layers[level], order)
        for point in reversed(range(max(2 * level - 1, 0), 2 * level + 1)):
            layer = generator.styled_layers[point]
            _permute_outputs(layer, order)
            order = _order(layer, w)
            _permute_inputs(layer, order)
    generator.constant.copy_(generator.constant[:, order])


def _order(layer: ModulatedConv, w: Tensor) -> Tensor:
    return torch.argsort(input_importance(layer, w), descending=True, stable=True)


def _permute_inputs(layer: ModulatedConv, order: Tensor) -> None:
    layer.weight.copy_(layer.weight[:, order])
    layer.modulation.weight.copy_(layer.modulation.weight[order])
    layer.modulation.bias.copy_(layer.modulation.bias[order])


def _permute_outputs(layer: StyledConv, order: Tensor) -> None:
    layer.weight.copy_(layer.weight[order])
    layer.bias.copy_(layer.bias[order])
