"""Which generator a run trains, and so what its architectures cost: from its weights file, else its configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anycost.architecture import ArchitectureSpace
from anycost.interchange.weights import Header, read_header
from anycost.pricing.price_list import PriceList


def price_list(weights: Path, config: Mapping[str, Any]) -> PriceList | None:
    """Prices by the header of `weights` where there is such a file, else by `config`; None where neither says."""
    if weights.is_file():
        return _of_header(read_header(weights))
    if "model" not in config:
        return None
    model = config["model"]
    space = ArchitectureSpace(model["resolution"], model["multiplier"], model["channel_cap"], num_resolutions=1)
    return PriceList(space, model["latent_dim"], model["mapping_layers"])


def _of_header(header: Header) -> PriceList | None:
    if not header.space:
        return None
    return PriceList(space_of(header.space), header.model["latent_dim"], header.model["mapping_layers"])


def space_of(fields: Mapping[str, Any]) -> ArchitectureSpace:
    """The space from its fields as JSON keeps them."""
    entries: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return ArchitectureSpace(**entries)
