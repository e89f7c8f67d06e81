"""The price of any architecture of a space, at once: what its layers cost is computed once and kept."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.pricing.activations import level_activation_bytes
from anycost.pricing.macs import (
    layer_macs,
    layer_macs_paper,
    layer_parameters,
    level_layers,
    mapping_macs,
    mapping_macs_paper,
    mapping_parameters,
)

if TYPE_CHECKING:  # the table measures and so needs torch; prices do not
    from anycost.pricing.latency_table import LatencyTable


@dataclass(frozen=True)
class Price:
    """The cost of one picture of one architecture.

    Args:
        macs: true multiply-adds.
        macs_paper: multiply-adds in the convention of the paper's figures (torchprofile 0.0.2).
        parameters: of the extracted stand-alone generator.
        activation_bytes: peak of live activations in float32, plain executor (see `pricing/activations.py`).
        latency_ms: milliseconds per picture, predicted or measured, of `executor` on `device`; None: not known.
    """

    macs: int
    macs_paper: int
    parameters: int
    activation_bytes: int
    latency_ms: float | None = None
    executor: str | None = None
    device: str | None = None


class _Terms(NamedTuple):
    """What one level (all layers of one resolution) adds to the sums, and its own peak of activations."""

    macs: int
    macs_paper: int
    parameters: int
    activation_bytes: int


class PriceList:
    """Prices of all architectures of `space`, in some microseconds each.

    Args:
        space: of the shared generator.
        latent_dim: length of its z and w.
        mapping_layers: layers of its mapping network.
        latency: predicts `Price.latency_ms`; without it, latencies are None.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        latent_dim: int = 512,
        mapping_layers: int = 8,
        latency: "LatencyTable | None" = None,
    ) -> None:
        self.space, self.latent_dim, self.mapping_layers, self.latency = space, latent_dim, mapping_layers, latency
        self._levels: dict[tuple[int, ...], _Terms] = {}

    def price(self, architecture: Architecture) -> Price:
        """All prices of `architecture`, which must belong to the space."""
        counts, known = architecture.channels, self._levels
        macs = mapping_macs(self.latent_dim, self.mapping_layers)
        macs_paper = mapping_macs_paper(self.latent_dim, self.mapping_layers)
        parameters = mapping_parameters(self.latent_dim, self.mapping_layers) + 16 * counts[0]
        peak = 0
        for level in range(architecture.resolution.bit_length() - 2):
            key = (level, *counts[max(2 * level - 1, 0) : 2 * level + 2])
            terms = known.get(key)
            if terms is None:
                terms = known[key] = self._terms(key)
            macs += terms[0]
            macs_paper += terms[1]
            parameters += terms[2]
            peak = max(peak, terms[3])
        if self.latency is None:
            return Price(macs, macs_paper, parameters, peak)
        latency, table = self.latency.predict_ms(architecture), self.latency
        return Price(macs, macs_paper, parameters, peak, latency, table.executor, table.device)

    def _terms(self, key: tuple[int, ...]) -> _Terms:
        level, counts = key[0], key[1:]
        layers = list(level_layers(self.space, level, counts))
        return _Terms(
            macs=sum(layer_macs(layer, self.latent_dim) for layer in layers),
            macs_paper=sum(layer_macs_paper(layer, self.latent_dim) for layer in layers),
            parameters=sum(layer_parameters(layer, self.latent_dim) for layer in layers),
            activation_bytes=level_activation_bytes(level, counts),
        )
