"""Which generator was trained or measured, and so what its architectures cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anycost.architecture import ArchitectureSpace
from anycost.interchange.weights import read_header
from anycost.pricing.price_list import PriceList


def price_list(weights: Path, config: Mapping[str, Any], described: Mapping[str, Any]) -> PriceList | None:
    """Prices by the header of `weights` where there is such a file, else as `described`, else by `config`.

    `described` is the content of an evaluation's generator.json. None where nothing says what the generator is.
    """
    if weights.is_file():
        header = read_header(weights)
        return _of_fields(header.space, header.model)
    if described:
        return _of_fields(described["space"], described["model"])
    if "model" not in config:
        return None
    model = config["model"]
    space = ArchitectureSpace(model["resolution"], model["multiplier"], model["channel_cap"], num_resolutions=1)
    return PriceList(space, model["latent_dim"], model["mapping_layers"])


def _of_fields(space: Mapping[str, Any], model: Mapping[str, Any]) -> PriceList | None:
    return PriceList(space_of(space), model["latent_dim"], model["mapping_layers"]) if space else None


def space_of(fields: Mapping[str, Any]) -> ArchitectureSpace:
    """The space from its fields as JSON keeps them."""
    entries: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return ArchitectureSpace(**entries)
