"""`init_from` and `stage.teacher`: where a stage's first weights come from."""

import logging
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from anycost.architecture import ladder
from anycost.configuration.convert import load_config
from anycost.configuration.lineage import PRECEDING, ROW, decisive
from anycost.configuration.schema import ModelConfig, TrainConfig
from anycost.configuration.stage_schema import DistillConfig, PruneConfig
from anycost.errors import UserError
from anycost.interchange.header import GENERATORS, Header, generator_form
from anycost.interchange.locating import find_weights
from anycost.interchange.weights import read_weights
from anycost.runs import RunDir

log = logging.getLogger(__name__)


def initial_weights(config: TrainConfig, run: RunDir) -> tuple[dict[str, Tensor], Path] | None:
    """The tensors that `init_from` of `run` names and their file, or None for a start from scratch.

    `UserError` where the file holds no generator, or one of another form than the model that is to be trained.
    """
    preceding = PRECEDING.get(config.stage.name)
    if config.init_from == "none" or (config.init_from == "auto" and preceding is None):
        return None
    if config.init_from == "auto":
        file = _last_finished(config, preceding, run)
    else:
        file = named_weights(config.init_from, "init_from", config, run)
    tensors, header = _read_generator(file, "init_from")
    if isinstance(config.stage, PruneConfig):
        _check_prunable(file, header, config.model)
    elif not isinstance(config.stage, DistillConfig):  # which takes the discriminator alone
        _check_form(file, header, config.model)
    return tensors, file


def teacher_weights(config: TrainConfig, run: RunDir) -> tuple[dict[str, Tensor], Path]:
    """The tensors that `stage.teacher` of `run` names and their file.

    `UserError` where the student could not be given the same latents and noise, or, with `stage.copy_mapping`, not
    the same mapping network.
    """
    options = config.stage
    file = named_weights(options.teacher, "stage.teacher", config, run)
    tensors, header = _read_generator(file, "stage.teacher")
    form = _form(header)
    if not options.copy_mapping:
        form.pop("mapping_layers")
    _check_equal(form, config.model, f"stage.teacher={file} cannot teach a generator")
    return tensors, file


def _read_generator(file: Path, option: str) -> tuple[dict[str, Tensor], Header]:
    tensors, header = read_weights(file)
    if header.kind not in GENERATORS:
        raise UserError(f"{option}={file} holds {header.kind} weights, not those of a generator")
    return tensors, header


def named_weights(name: str, option: str, config: TrainConfig, run: RunDir) -> Path:
    """The weights file that `name` means to `run`: what `find_weights` finds, or `row:NAME` of the same table.

    Raises `UserError`, which names `option`.
    """
    if not name.startswith(ROW):
        return find_weights(name, option)
    row = name.removeprefix(ROW)
    found = [folder for folder in _finished_beside(run) if _is_row(folder, row, config.seed)]
    if len(found) > 1:
        names = ", ".join(folder.path.name for folder in found)
        raise UserError(
            f"{option}={name}: several runs of {run.path.parent} are the row {row} with seed={config.seed}: {names}; "
            f"name one of them: {option}=FOLDER"
        )
    if not found:
        raise UserError(
            f"{option}={name}: {run.path.parent} has no finished run of the row {row} with seed={config.seed}; start "
            f"the whole table with -m, or name a run: {option}=FOLDER"
        )
    return found[0].weights


def _finished_beside(run: RunDir) -> Iterator[RunDir]:
    """The finished runs in the folder of `run`'s multirun."""
    for file in sorted(run.path.parent.glob("*/config.yaml")):
        record = RunDir(file.parent).read_record()
        if record is not None and record.state == "finished":
            yield RunDir(file.parent)


def _is_row(folder: RunDir, row: str, seed: int) -> bool:
    config = load_config(folder.config)
    return (config.table.row, config.seed) == (row, seed)


def _check_form(file: Path, header: Header, model: ModelConfig) -> None:
    """What the shapes of tensors do not tell, or tell in a roundabout way: a file may have more mapping layers."""
    space, form = generator_form(header)[0], _form(header)
    if ladder(space.resolution, model.multiplier, model.channel_cap) != space.full_channels:
        if space.channels:
            raise UserError(
                f"init_from={file} holds a generator of the channels {', '.join(map(str, space.channels))}, which no "
                "model.multiplier and model.channel_cap give: it can be used, not trained"
            )
        form |= {"multiplier": space.multiplier, "channel_cap": space.channel_cap}
    _check_equal(form, model, f"init_from={file} holds another generator than that")


def _check_prunable(file: Path, header: Header, model: ModelConfig) -> None:
    """The generator in the file is of the model's form, but for channels that pruning takes away."""
    space = generator_form(header)[0]
    _check_equal(_form(header), model, f"init_from={file} holds another generator than that")
    wanted = ladder(space.resolution, model.multiplier, model.channel_cap)
    if any(count > there for count, there in zip(wanted, space.full_channels, strict=True)):
        raise UserError(
            f"stage=prune only takes channels away: init_from={file} has {', '.join(map(str, space.full_channels))}, "
            f"model.multiplier={model.multiplier:g} and model.channel_cap={model.channel_cap} want "
            f"{', '.join(map(str, wanted))}; choose a smaller model.multiplier"
        )


def _form(header: Header) -> dict[str, float]:
    """What two generators share that differ in their channels alone, by the names of `model`."""
    space, latent_dim, layers = generator_form(header)
    return {"resolution": space.resolution, "latent_dim": latent_dim, "mapping_layers": layers}


def _check_equal(form: dict[str, float], model: ModelConfig, what: str) -> None:
    """`UserError` unless `model` has all values of `form`: `what` of model.multiplier=..., and what to set."""
    wrong = [name for name, value in form.items() if getattr(model, name) != value]
    if wrong:
        here = ", ".join(f"model.{name}={getattr(model, name)}" for name in wrong)
        options = {"resolution": "data.resolution"}
        fitting = " ".join(f"{options.get(name, f'model.{name}')}={form[name]}" for name in wrong)
        raise UserError(f"{what} of {here}; train it with {fitting}")


def _last_finished(config: TrainConfig, preceding: str | None, run: RunDir) -> Path:
    """The newest finished run of the preceding stage with the same data, model and seed.

    Those of the same multirun come first: a run elsewhere that ends meanwhile must not change what a job starts from.
    """
    logs = Path(config.paths.logs) / "train"
    for place in (*([run.path.parent] if "multiruns" in run.path.parts else []), logs):
        if found := [file for file in place.rglob("weights.safetensors") if _matches(file, config, preceding)]:
            return max(found, key=lambda file: file.stat().st_mtime)
    raise UserError(
        f"init_from=auto found no finished {preceding} run with this data, model and seed under {logs}. Train all "
        "stages with stage=pipeline, name a run folder or a weights file, or start from scratch with init_from=none"
    )


def _matches(weights: Path, config: TrainConfig, stage: str | None) -> bool:
    run = RunDir(weights.parent)
    try:
        other, record = load_config(run.config), run.read_record()
    except (OSError, UserError, KeyError, TypeError, ValueError) as error:
        log.debug("%s is not a run: %s", weights.parent, error)
        return False
    finished = record is not None and record.state == "finished"
    return finished and other.stage.name == stage and decisive(other) == decisive(config)
