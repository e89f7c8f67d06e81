"""Closed-form prices of a sub-generator [Anycost, Sec. 4.3]: multiply-adds in two conventions, parameters.

Pure Python: a search prices millions of candidates. Only executed layers count, batch size 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from anycost.architecture import Architecture, ArchitectureSpace, num_points


@dataclass(frozen=True)
class Price:
    """The cost of one architecture. `executor` and `device` say what `latency_ms` was measured on."""

    macs: int
    macs_paper: int
    parameters: int
    latency_ms: float | None = None
    executor: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class _Layer:
    """One executed modulated convolution; `full_inputs` is its width in the shared weights."""

    kind: str  # "plain", "up" or "rgb"
    inputs: int
    outputs: int
    full_inputs: int
    resolution: int  # of its output

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs * (1 if self.kind == "rgb" else 9)


def price(
    space: ArchitectureSpace, architecture: Architecture, latent_dim: int = 512, mapping_layers: int = 8
) -> Price:
    """All prices that need no measurement."""
    return Price(
        macs=macs(space, architecture, latent_dim, mapping_layers),
        macs_paper=macs_paper(space, architecture, latent_dim, mapping_layers),
        parameters=parameters(space, architecture, latent_dim, mapping_layers),
    )


def macs(
    space: ArchitectureSpace, architecture: Architecture, latent_dim: int = 512, mapping_layers: int = 8
) -> int:
    """True multiply-adds: convolutions, mapping and modulation.

    An up-convolution counts at its input's resolution, where a transposed convolution works. The modulations
    count at full width, as in the shared generator; an extracted one saves a part of them (below 0.1 %).
    """
    layers = list(_layers(space, architecture))
    convolutions = sum(
        layer.weights * (layer.resolution // 2 if layer.kind == "up" else layer.resolution) ** 2
        for layer in layers
    )
    return convolutions + _linear(layers, latent_dim, mapping_layers)


def macs_paper(
    space: ArchitectureSpace, architecture: Architecture, latent_dim: int = 512, mapping_layers: int = 8
) -> int:
    """Multiply-adds in the convention of all published Anycost figures (torchprofile 0.0.2, official model).

    Up-convolutions count at their output's size; blurs and all element-wise products count: about 2 `macs`.
    """
    layers = list(_layers(space, architecture))
    convolutions = sum(layer.weights * (layer.resolution + (layer.kind == "up")) ** 2 for layer in layers)
    blurs = sum(16 * layer.outputs * layer.resolution**2 for layer in layers if layer.kind == "up")
    skips = sum(60 * layer.resolution**2 for layer in layers if layer.kind == "rgb" and layer.resolution > 4)
    upsamplings = architecture.resolution.bit_length() - 3
    return (
        convolutions
        + blurs
        + skips
        + _linear(layers, latent_dim, mapping_layers)
        + _elementwise(layers, latent_dim, mapping_layers)
        + 6 * upsamplings
        + 5  # products of scalar sizes that torchprofile saw
    )


def parameters(
    space: ArchitectureSpace, architecture: Architecture, latent_dim: int = 512, mapping_layers: int = 8
) -> int:
    """Trainable parameters of the extracted stand-alone generator: everything sliced to what is executed."""
    mapping = mapping_layers * latent_dim * (latent_dim + 1)
    constant = 16 * architecture.channels[0]
    synthesis = sum(
        layer.weights
        + (latent_dim + 1) * layer.inputs  # modulation
        + layer.outputs  # bias
        + (layer.kind != "rgb")  # noise strength
        for layer in _layers(space, architecture)
    )
    return mapping + constant + synthesis


def _layers(space: ArchitectureSpace, architecture: Architecture) -> Iterator[_Layer]:
    counts, full = architecture.channels, space.full_channels
    for point in range(1, num_points(architecture.resolution)):
        kind = "up" if point % 2 == 0 else "plain"
        resolution = space.point_resolution(point)
        yield _Layer(kind, counts[point - 1], counts[point], full[point - 1], resolution)
        if kind == "plain":
            yield _Layer("rgb", counts[point], 3, full[point], resolution)


def _linear(layers: list[_Layer], latent_dim: int, mapping_layers: int) -> int:
    return mapping_layers * latent_dim**2 + latent_dim * sum(layer.full_inputs for layer in layers)


def _elementwise(layers: list[_Layer], latent_dim: int, mapping_layers: int) -> int:
    """Products that torchprofile counts: normalisation, weight scaling, modulation, noise, gains."""
    total = latent_dim + mapping_layers * (latent_dim**2 + 2 * latent_dim)
    for layer in layers:
        scalings = 2 if layer.kind == "rgb" else 3  # scale, modulate and, but for RGB, demodulate
        total += (latent_dim + 1) * layer.full_inputs + scalings * layer.weights
        if layer.kind != "rgb":
            total += layer.resolution**2 * (1 + layer.outputs)
    return total
