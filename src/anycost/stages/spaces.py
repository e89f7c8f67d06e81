"""From the configuration of model and stage to the space of architectures."""

from collections.abc import Sequence
from dataclasses import replace

from anycost.architecture import ArchitectureSpace
from anycost.configuration.schema import ModelConfig
from anycost.configuration.stage_schema import AdaChConfig


def model_space(model: ModelConfig, num_resolutions: int, stage: AdaChConfig | None = None) -> ArchitectureSpace:
    """The space of the model with the stage's trained resolutions and its rounding of flexible counts."""
    space = ArchitectureSpace(model.resolution, model.multiplier, model.channel_cap, num_resolutions)
    if stage is None:
        return space
    return ArchitectureSpace(
        model.resolution,
        model.multiplier,
        model.channel_cap,
        num_resolutions,
        min_channels=stage.min_channels,
        divided_by=stage.divided_by,
    )


def full_at_each(resolutions: Sequence[int]) -> list[str]:
    """Text forms of the full width at each of `resolutions` (ascending), the highest first."""
    return ["full", *(f"full@{resolution}" for resolution in reversed(resolutions[:-1]))]


def discriminator_space(model: ModelConfig, space: ArchitectureSpace) -> ArchitectureSpace:
    """What gives the discriminator its channels: the generator's `space`, or one of another multiplier."""
    if model.discriminator_multiplier is None:
        return space
    return replace(space, multiplier=model.discriminator_multiplier)
