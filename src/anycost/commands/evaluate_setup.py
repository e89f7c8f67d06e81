"""From the options of `anycost evaluate` to a plan: mistakes get their message here, before anything is measured."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.commands import machine
from anycost.commands.arguments import parse
from anycost.commands.evaluate import EvaluateConfig
from anycost.configuration.composition import compose
from anycost.configuration.convert import load_config
from anycost.configuration.identity import safe_name
from anycost.configuration.schema import DataConfig
from anycost.data.opening import open_source
from anycost.errors import UserError
from anycost.evaluation.pictures import GivenPictures
from anycost.evaluation.planning import Plan
from anycost.evaluation.processes import Team
from anycost.evaluation.reference import Reference
from anycost.evaluation.subjects import GeneratorSubject, PicturesSubject, Subject
from anycost.interchange.locating import find_weights, open_generator, weights_identity
from anycost.metrics.measures import build_measures
from anycost.metrics.protocols import MetricProtocol
from anycost.metrics.table import protocols
from anycost.networks.generator import Generator
from anycost.processes import PARENT

if TYPE_CHECKING:
    import torch

_ATTEMPT = "ANYCOST_ATTEMPT"


@dataclass(frozen=True)
class Prepared:
    """What is to be done, where the records lie, and the generator where there is one."""

    plan: Plan
    output: Path
    generator: Generator | None


def prepare(config: EvaluateConfig, data: Sequence[str], team: Team | None) -> Prepared:
    """Open everything that `config` and the `data` arguments name; raises `UserError` for the first mistake."""
    chosen = [replace(one, seed=config.seed) for one in protocols(config.metrics)]
    size = team.size if team else config.devices
    if size > config.shards:
        raise UserError(f"devices={size} are more than shards={config.shards}; give each a share with shards={size}")
    device = machine.device(config.accelerator, team.local_rank if team else 0, team.local_rank + 1 if team else size)
    _set_threads(config)
    attempt = _attempt(config, team)
    subject = _pictures(config, device) if config.images is not None else _generator(config, device)
    subject.subject.check(chosen)
    reference = _reference(config, chosen, data, subject, device)
    plan = Plan(
        subject.subject, build_measures(chosen, device), reference, reference.identity if reference else "",
        config.batch_size, config.shards, attempt,
    )  # fmt: skip
    output = Path(config.output).expanduser() if config.output else subject.output
    return Prepared(plan, output, subject.generator)


@dataclass(frozen=True)
class _Opened:
    """A subject with the resolution of its real images, the folder of its records, and what it was trained on."""

    subject: Subject
    resolution: int
    output: Path
    generator: Generator | None = None
    trained: DataConfig | None = None


def _pictures(config: EvaluateConfig, device: "torch.device") -> _Opened:
    pictures = GivenPictures(config.images or "")
    subject = PicturesSubject(pictures, device)
    return _Opened(subject, pictures.resolution, _own_folder(pictures.name, subject.identity))


def _generator(config: EvaluateConfig, device: "torch.device") -> _Opened:
    file = find_weights(config.weights or "")
    generator, header = open_generator(file)
    architectures = _architectures(generator.space, config.architectures)
    images = int(header.card.get("images", 0))
    identity = weights_identity(file)
    subject = GeneratorSubject(generator.to(device), f"weights={file}", identity, images, architectures)
    trained = _trained_data(file)
    output = file.parent / "evaluation" if trained else _own_folder(file.stem, identity)
    return _Opened(subject, generator.space.resolution, output, generator, trained)


def _own_folder(name: str, identity: str) -> Path:
    return Path("logs", "evaluate", f"{safe_name(name)}-{identity[:8]}")


# ---- attempts


def _set_threads(config: EvaluateConfig) -> None:
    import torch

    torch.set_num_threads(machine.threads(config.threads, int(os.environ.get("LOCAL_WORLD_SIZE", config.devices))))


def _attempt(config: EvaluateConfig, team: Team | None) -> str:
    """Names an attempt that continues nothing; the same in all processes that this one starts."""
    if config.resume == "auto":
        return ""
    if team and team.size > 1 and PARENT not in os.environ:
        raise UserError(
            "resume=never: processes of a launcher cannot agree on a new beginning; choose a new folder with output=DIR"
        )
    return os.environ.setdefault(_ATTEMPT, os.urandom(8).hex())


# ---- architectures


def _architectures(space: ArchitectureSpace, texts: Sequence[str]) -> dict[str, Architecture]:
    """Every architecture that the texts name, by label."""
    if list(texts) == ["auto"]:
        texts = ["full", *(f"{ratio:g}" for ratio in reversed(space.ratios[:-1]) if _exists(space, ratio))]
    found = space.parse_list(texts)
    if not found:
        raise UserError("architectures=[] names none; use full, 0.5, 0.5@32, FILE.json, or leave it out")
    return found


def _exists(space: ArchitectureSpace, ratio: float) -> bool:
    try:
        space.uniform(ratio)
    except UserError:  # no channel is left in a layer
        return False
    return True


# ---- the data


def _trained_data(weights: Path) -> DataConfig | None:
    """What a run was trained on, where the weights lie in its folder."""
    file = weights.with_name("config.yaml")
    return load_config(file).data if file.is_file() else None


def _reference(
    config: EvaluateConfig,
    chosen: Sequence[MetricProtocol],
    arguments: Sequence[str],
    opened: _Opened,
    device: "torch.device",
) -> Reference | None:
    """The real images, checked, where a protocol needs them; for a generator at its own resolution only.

    But faces may be drawn at a higher one and brought down, as the lower outputs of larger generators learn them.
    """
    needing = [one for one in chosen if one.reals != "none"]
    if not needing:
        return None
    data = _data_config(arguments, opened, needing[0].name)
    drawn_larger = data.kind == "faces" and data.resolution > opened.resolution
    if opened.generator is not None and data.resolution != opened.resolution and not drawn_larger:
        raise UserError(
            f"data.resolution={data.resolution} differs from the generator's {opened.resolution} px; leave it out, or "
            f"give data.resolution={opened.resolution} (lower outputs are architectures: full@{opened.resolution // 2})"
        )
    reference = Reference(open_source(data), data, machine.cache_folder(config.cache), device)
    for protocol in needing:
        for architecture in opened.subject.architectures.values():
            reference.check(protocol, architecture.resolution)
    return reference


def _data_config(arguments: Sequence[str], opened: _Opened, metric: str) -> DataConfig:
    """What the arguments say, at the subject's resolution unless they name one; else what it was trained on."""
    resolution, trained = opened.resolution, opened.trained
    if any(one.startswith("data=") for one in arguments):
        given = any(one.startswith("data.resolution=") for one in arguments)
        is_power = resolution >= 8 and not resolution & (resolution - 1)
        more = [] if given or not is_power else [f"data.resolution={resolution}"]
        return compose("stage=stylegan2", *arguments, *more).data  # the stage with the fewest rules of its own
    if trained is None:
        where = "the weights lie in no run folder" if opened.generator else "pictures do not say what they imitate"
        raise UserError(
            f"metrics={metric} needs real images and {where}: add data=NAME, for example data=faces, data=ffhq, or "
            "data=folder data.path=FOLDER"
        )
    return _changed(trained, [one.removeprefix("data.") for one in arguments])


def _changed(trained: DataConfig, changes: Sequence[str]) -> DataConfig:
    """The data of the training with some values of its own replaced."""
    if not changes:
        return trained
    try:
        parsed = parse(DataConfig, changes, None, defaults=["name=unused", "resolution=8"])
    except UserError as error:
        raise UserError(f"data.{error}") from None
    return replace(trained, **{key: getattr(parsed, key) for key in (one.partition("=")[0] for one in changes)})
