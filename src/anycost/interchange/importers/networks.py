"""Generator and discriminator of another program -> one weights file of ours, checked against our networks."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.interchange.header import Header, ladder_entry
from anycost.interchange.importers.assembling import Part, check_shapes, floats
from anycost.interchange.importers.imported import Choice, Imported
from anycost.interchange.importers.spaces import PUBLISHED_RATIOS, find_space
from anycost.interchange.skeleton import (
    DISCRIMINATOR,
    GENERATOR,
    TRUNCATION_MEAN,
    discriminator_skeleton,
    generator_skeleton,
)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Networks:
    """What a checkpoint holds.

    Args:
        source: name of the format.
        weights: which generator was chosen, `ema` or `raw`.
        generator: its tensors.
        discriminator: reads those of the discriminator, when it is wanted; None where the file has none.
        num_resolutions: output resolutions that are trained, as far as the format tells; a discriminator tells it
            itself.
        ratios: channel ratios that are trained, likewise: a discriminator that is told none has seen the full width.
        truncation_mean: the mean style that came with these weights.
        hint: (multiplier, channel_cap) that the file states.
        left_out: what has no place in our file, in words.
        more: further entries of the card.
    """

    source: str
    weights: str
    generator: Part
    discriminator: Callable[[], Part] | None = None
    num_resolutions: int = 1
    ratios: tuple[float, ...] = (1.0,)
    truncation_mean: Any = None
    hint: tuple[Any, Any] = (None, None)
    left_out: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)


def build(networks: Networks, choice: Choice) -> Imported:
    """The weights file of `networks`; `UserError` where a shape, filter or option is none of ours."""
    wanted = networks.discriminator if choice.part == "all" else None
    discriminator = _explained(wanted) if wanted else None
    space = _space(networks, discriminator or _left(networks))
    header = _header(networks, space, discriminator)
    check_shapes(networks.generator, generator_skeleton(header))
    if discriminator:
        _explained(lambda: check_shapes(discriminator, discriminator_skeleton(space, discriminator.tensors)))
    return Imported(_tensors(networks, discriminator), header, tuple(_found(networks, header, discriminator)))


def _left(networks: Networks) -> Part | None:
    """A discriminator that is left out tells all the same what was trained, where it can be read."""
    try:
        return networks.discriminator() if networks.discriminator else None
    except UserError:
        return None


def _space(networks: Networks, discriminator: Part | None) -> ArchitectureSpace:
    """The widths are the generator's; what of the space was trained is what the `discriminator` has seen."""
    generator = networks.generator
    levels = len({name.split(".")[1] for name in generator.tensors if name.startswith("to_rgb.")})
    most = max(levels - 1, 1)  # from 8 px up: discriminators have no block at 4 px
    trained, ratios = networks.num_resolutions, networks.ratios
    if discriminator:
        trained = _entries(discriminator)
        ratios = PUBLISHED_RATIOS if any(".condition." in name for name in discriminator.tensors) else (1.0,)
    return find_space(_channels(generator, levels), min(trained, most), networks.hint, ratios)


def _header(networks: Networks, space: ArchitectureSpace, discriminator: Part | None) -> Header:
    unwanted = ["the discriminator (part=generator)"] if networks.discriminator and not discriminator else []
    differs = [*networks.generator.differs, *(discriminator.differs if discriminator else ())]
    card = {
        "source": networks.source,
        "weights": networks.weights,
        "ladder": ladder_entry(space),
        "left_out": [*unwanted, *networks.left_out],
        **({"differs": differs} if differs else {}),
        **networks.more,
    }
    return Header("training" if discriminator else "generator", asdict(space), _model(networks.generator), card)


def _tensors(networks: Networks, discriminator: Part | None) -> dict[str, Tensor]:
    tensors = {f"{GENERATOR}{name}": tensor for name, tensor in networks.generator.tensors.items()}
    if discriminator:
        tensors |= {f"{DISCRIMINATOR}{name}": tensor for name, tensor in discriminator.tensors.items()}
    if networks.truncation_mean is not None:
        tensors[TRUNCATION_MEAN] = _mean(networks.truncation_mean, _model(networks.generator)["latent_dim"])
    return tensors


def _found(networks: Networks, header: Header, discriminator: Part | None) -> Iterator[str]:
    """What the user is told of the content."""
    kind = {"ema": "EMA weights", "raw": "raw weights, not averaged"}[networks.weights]
    yield f"generator ({kind}), {header.space['resolution']} px, {header.model['mapping_layers']} mapping layers"
    if discriminator:
        yield _described(discriminator)
    if networks.truncation_mean is not None:
        yield "truncation mean"


def _channels(generator: Part, levels: int) -> list[int]:
    """Channel counts per point: the constant, then what each styled convolution makes."""
    constant = generator.size("constant", 1)
    return [constant, *(generator.size(f"layers.{point}.weight", 0) for point in range(2 * levels - 1))]


def _model(generator: Part) -> dict[str, int]:
    layers = sum(name.startswith("mapping.") and name.endswith(".weight") for name in generator.tensors)
    return {"latent_dim": generator.size("layers.0.modulation.weight", 1), "mapping_layers": layers}


def _entries(discriminator: Part) -> int:
    return sum(name.startswith("from_rgb.") and name.endswith(".weight") for name in discriminator.tensors)


def _described(discriminator: Part) -> str:
    count = _entries(discriminator)
    conditioned = any(".condition." in name for name in discriminator.tensors)
    resolutions = "one resolution" if count == 1 else f"{count} resolutions"
    return f"discriminator of {resolutions}{', conditioned on the architecture' if conditioned else ''}"


def _mean(value: Any, latent_dim: int) -> Tensor:
    mean = floats(value, "the mean style").squeeze()
    if mean.shape != (latent_dim,):
        raise UserError(f"the mean style has the shape {list(mean.shape)}; [{latent_dim}] is needed")
    return mean


def _explained(make: Callable[[], Result]) -> Result:
    """What a discriminator that is refused leaves to do."""
    try:
        return make()
    except UserError as error:
        raise UserError(f"the discriminator: {error}; part=generator converts the generator alone") from error
