"""What a benchmark is about: the generator of a weights file, or one that `model=NAME model.KEY=VALUE` describes."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.commands.arguments import check_once, parse
from anycost.configuration.paths import config_groups, config_home
from anycost.configuration.schema import ModelConfig
from anycost.errors import UserError

MODEL_HELP = """
  model=...              instead of weights, a channel ladder of conf/model ({names})
  model.KEY=...          resolution (needed), multiplier, channel_cap, latent_dim, mapping_layers"""


@dataclass(frozen=True)
class Subject:
    """The shape of a generator; `weights` is its file where it has one."""

    name: str
    space: ArchitectureSpace
    latent_dim: int
    mapping_layers: int
    weights: Path | None = None

    def architectures(self, texts: Sequence[str]) -> dict[str, Architecture]:
        """Architectures by the names they were asked for: `full`, `0.5@256`, entries of `FILE.json`."""
        try:
            return self.space.parse_list(texts)
        except UserError as error:
            raise UserError(f"{error} (the generator is {self.name}, {self.space.resolution} px)") from error


def model_help() -> str:
    """The lines of `--help` about `model=`."""
    return MODEL_HELP.format(names=", ".join(config_groups()["model"]))


def split_model(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments about the model, and the others."""
    about = [one for one in arguments if one.startswith(("model=", "model."))]
    return about, [one for one in arguments if one not in about]


def open_subject(weights: str | None, model_arguments: Sequence[str]) -> Subject:
    """The generator asked for, by one way of the two. Only weights need torch."""
    if weights is not None and model_arguments:
        raise UserError(f"weights={weights} and {model_arguments[0]} were given; one of them is enough")
    if weights is not None:
        return _of_weights(weights)
    if model_arguments:
        return _of_model(model_arguments)
    raise UserError("weights=RUN or model=NAME model.resolution=R is needed: the generator that is meant")


def _of_weights(weights: str) -> Subject:
    from anycost.interchange.locating import find_weights
    from anycost.interchange.weights import read_header

    path = find_weights(weights)
    header = read_header(path)
    if not header.space:
        raise UserError(f"weights={weights} holds no generator (kind={header.kind})")
    entries: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in header.space.items()
    }
    model = header.model
    return Subject(str(path), ArchitectureSpace(**entries), model["latent_dim"], model["mapping_layers"], path)


def _of_model(arguments: Sequence[str]) -> Subject:
    check_once(arguments)
    name = next((one.partition("=")[2] for one in arguments if one.startswith("model=")), None)
    names = config_groups()["model"]
    if name not in names:
        close = get_close_matches(name or "", names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
        raise UserError(f"model={name or '...'} does not exist; {hint}")
    file = config_home() / "conf" / "model" / f"{name}.yaml"
    entries = [f"{key}={value}" for key, value in yaml.safe_load(file.read_text(encoding="utf-8")).items()]
    inner = [one.removeprefix("model.") for one in arguments if one.startswith("model.")]
    if not any(one.startswith("resolution=") for one in inner):
        raise UserError(f"model.resolution=... is needed with model={name}: the output resolution, for example 256")
    try:
        model = parse(ModelConfig, inner, None, defaults=entries)
    except UserError as error:
        raise UserError(f"model.{error}") from error
    assert model is not None
    levels = max(model.resolution.bit_length() - 2, 1)
    space = ArchitectureSpace(model.resolution, model.multiplier, model.channel_cap, min(4, levels))
    return Subject(model.name, space, model.latent_dim, model.mapping_layers)
