"""Closed-form prices of a sub-generator [Anycost, Sec. 4.3]: multiply-adds in two conventions, parameters.

Pure Python: a search prices millions of candidates. Only executed layers count, batch size 1. Every price is a sum
of one term per executed layer and one for everything else, so that `price_list.PriceList` can keep the terms.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from anycost.architecture import Architecture, ArchitectureSpace


@dataclass(frozen=True)
class Layer:
    """One executed modulated convolution; `full_inputs` is its width in the shared weights."""

    kind: str  # "plain", "up" or "rgb"
    inputs: int
    outputs: int
    full_inputs: int
    resolution: int  # of its output

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * (1 if self.kind == "rgb" else 9)


def executed_layers(space: ArchitectureSpace, architecture: Architecture) -> Iterator[Layer]:
    """The layers that run, from 4 px up."""
    counts = architecture.channels
    for level in range(architecture.resolution.bit_length() - 2):
        yield from level_layers(space, level, counts[max(2 * level - 1, 0) : 2 * level + 2])


def level_layers(space: ArchitectureSpace, level: int, counts: tuple[int, ...]) -> Iterator[Layer]:
    """The layers at `4 << level` pixels: conv1 and toRGB at 4 px, else up-convolution, convolution and toRGB.

    `counts` are the channels of what arrives and of each of the one or two styled convolutions.
    """
    resolution, first = 4 << level, max(2 * level - 1, 0)
    full = space.full_channels[first : first + len(counts)]
    for position in range(len(counts) - 1):
        kind = "up" if level and position == 0 else "plain"
        yield Layer(kind, counts[position], counts[position + 1], full[position], resolution)
    yield Layer("rgb", counts[-1], 3, full[-1], resolution)


# ---- true multiply-adds


def macs(
    space: ArchitectureSpace, architecture: Architecture, latent_dim: int = 512, mapping_layers: int = 8
) -> int:
    """True multiply-adds: convolutions, mapping and modulation.

    An up-convolution counts at its input's resolution, where a transposed convolution works. The modulations
    count at full width, as in the shared generator; an extracted one saves a part of them (below 0.1 %).
    """
    layers = executed_layers(space, architecture)
    return mapping_macs(latent_dim, mapping_layers) + sum(layer_macs(layer, latent_dim) for layer in layers)


def mapping_macs(latent_dim: int, mapping_layers: int) -> int:
    """Multiply-adds of the mapping network."""
    return mapping_layers * latent_dim**2


def layer_macs(layer: Layer, latent_dim: int) -> int:
    """Multiply-adds of one convolution and of its modulation."""
    side = layer.resolution // 2 if layer.kind == "up" else layer.resolution
    return layer.weights * side**2 + latent_dim * layer.full_inputs


# ---- the paper's multiply-adds


def macs_paper(
    space: ArchitectureSpace, architecture: Architecture, latent_dim: int = 512, mapping_layers: int = 8
) -> int:
    """Multiply-adds in the convention of all published Anycost figures (torchprofile 0.0.2, official model).

    Up-convolutions count at their output's size; blurs and all element-wise products count: about 2 `macs`.
    """
    layers = executed_layers(space, architecture)
    fixed = mapping_macs_paper(latent_dim, mapping_layers)
    return fixed + sum(layer_macs_paper(layer, latent_dim) for layer in layers)


def mapping_macs_paper(latent_dim: int, mapping_layers: int) -> int:
    """The mapping network with its normalisation and weight scaling, and 5 products of scalar sizes."""
    scaling = latent_dim + mapping_layers * (latent_dim**2 + 2 * latent_dim)
    return mapping_macs(latent_dim, mapping_layers) + scaling + 5


def layer_macs_paper(layer: Layer, latent_dim: int) -> int:
    """One convolution as torchprofile saw it: blur or skip, weight scaling, modulation, noise and gain included."""
    area = layer.resolution**2
    total = layer.weights * (layer.resolution + (layer.kind == "up")) ** 2
    total += latent_dim * layer.full_inputs + (latent_dim + 1) * layer.full_inputs
    if layer.kind == "rgb":
        total += 2 * layer.weights  # scaled and modulated
        return total + (60 * area + 6 if layer.resolution > 4 else 0)  # the skip's filter, and its scalar sizes
    total += 3 * layer.weights  # scaled, modulated and demodulated
    blur = 16 * layer.outputs * area if layer.kind == "up" else 0
    return total + blur + area * (1 + layer.outputs)


# ---- parameters


def parameters(
    space: ArchitectureSpace, architecture: Architecture, latent_dim: int = 512, mapping_layers: int = 8
) -> int:
    """Trainable parameters of the extracted stand-alone generator: everything sliced to what is executed."""
    layers = executed_layers(space, architecture)
    fixed = mapping_parameters(latent_dim, mapping_layers) + 16 * architecture.channels[0]
    return fixed + sum(layer_parameters(layer, latent_dim) for layer in layers)


def mapping_parameters(latent_dim: int, mapping_layers: int) -> int:
    """Parameters of the mapping network."""
    return mapping_layers * latent_dim * (latent_dim + 1)


def layer_parameters(layer: Layer, latent_dim: int) -> int:
    """Weight, modulation, bias and, but for toRGB, the strength of the noise."""
    return layer.weights + (latent_dim + 1) * layer.inputs + layer.outputs + (layer.kind != "rgb")
