"""What a configuration must satisfy before anything is built: single values first, then how they fit together."""

from dataclasses import fields

from anycost.configuration.choices import check_choices
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import (
    AdaChConfig,
    MsgGanConfig,
    MultiresConfig,
    PipelineConfig,
    PruneConfig,
    StageConfig,
)
from anycost.errors import UserError

GROUP = 4  # images of one minibatch-std group of the discriminator


def check(config: TrainConfig) -> None:
    """Raise `UserError` for the first value that cannot be trained with, naming the key and the remedy."""
    check_choices(config)
    check_resolution(config)
    check_batch(config)
    check_start(config)
    for prefix, stage in adversarial_stages(config):
        check_stage(stage, prefix, config)


def adversarial_stages(config: TrainConfig) -> list[tuple[str, StageConfig]]:
    """The adversarial stages that a run trains, each with the prefix of its keys."""
    if isinstance(config.stage, PipelineConfig):
        return [(f"stage.{spec.name}.", getattr(config.stage, spec.name))
                for spec in fields(config.stage) if spec.name != "name"]
    return [("stage.", config.stage)] if isinstance(config.stage, StageConfig) else []


def check_resolution(config: TrainConfig) -> None:
    """Resolutions are powers of two, and the model's is that of the data."""
    resolution = config.data.resolution
    if resolution & (resolution - 1):
        lower = 1 << (resolution.bit_length() - 1)
        raise UserError(f"data.resolution={resolution} is not a power of two; take {lower} or {2 * lower}")
    if config.model.resolution != resolution:
        raise UserError(f"model.resolution={config.model.resolution} differs from data.resolution={resolution}; "
                        "set data.resolution only, the model follows it")


def check_batch(config: TrainConfig) -> None:
    """Every process, and every micro-batch of it, gets whole groups of four images."""
    batch, trainer = config.data.batch_size, config.trainer
    processes = trainer.devices * trainer.num_nodes
    multiple = GROUP * processes
    if batch % multiple:
        reason = f"{processes} processes of whole groups of {GROUP} images" if processes > 1 else f"groups of {GROUP}"
        nearest = max(multiple, batch // multiple * multiple)
        raise UserError(f"data.batch_size={batch} cannot be split into {reason}; take a multiple of {multiple}, "
                        f"for example data.batch_size={nearest}")
    share, micro = batch // processes, trainer.micro_batch
    if micro is not None and (micro % GROUP or share % micro):
        possible = [str(size) for size in range(GROUP, share + 1, GROUP) if share % size == 0]
        raise UserError(f"trainer.micro_batch={micro} does not split the {share} images of each process into whole "
                        f"groups of {GROUP}; possible: {', '.join(possible)}")


def check_start(config: TrainConfig) -> None:
    """Pruning starts from something."""
    if isinstance(config.stage, PruneConfig) and config.init_from in ("auto", "none"):
        raise UserError(f"init_from={config.init_from}: stage=prune cuts a wide generator that is trained already; "
                        "name its run folder or weights file")


def check_stage(stage: StageConfig, prefix: str, config: TrainConfig) -> None:
    """Path length gets a share of the batch; the resolutions trained exist and are enough for those sampled."""
    processes = config.trainer.devices * config.trainer.num_nodes
    shrink, portion = stage.path_length.batch_shrink, config.trainer.micro_batch or config.data.batch_size // processes
    if stage.path_length.weight and portion % shrink:
        raise UserError(f"{prefix}path_length.batch_shrink={shrink} does not divide the {portion} images "
                        "of each process (trainer.micro_batch, if set); take 1, 2 or 4")
    if not isinstance(stage, MultiresConfig | MsgGanConfig):
        return
    most = config.data.resolution.bit_length() - 3
    if stage.num_resolutions > most:
        raise UserError(f"{prefix}num_resolutions={stage.num_resolutions} does not fit data.resolution="
                        f"{config.data.resolution}: between 8 and {config.data.resolution} px there are {most}")
    if isinstance(stage, MultiresConfig) and stage.sampled_resolutions > stage.num_resolutions:
        raise UserError(f"{prefix}sampled_resolutions={stage.sampled_resolutions} is more than "
                        f"{prefix}num_resolutions={stage.num_resolutions}; lower it")
    if isinstance(stage, AdaChConfig) and stage.discriminator == "reduced" and stage.mode != "uniform":
        raise UserError(f"{prefix}discriminator=reduced has the one ratio of {prefix}mode=uniform, not the many of "
                        f"{prefix}mode={stage.mode}; take {prefix}discriminator=conditioned")
