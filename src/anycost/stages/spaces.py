"""From the configuration of model and stage to the space of architectures."""

from anycost.architecture import ArchitectureSpace
from anycost.configuration.schema import AdaChConfig, ModelConfig


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
