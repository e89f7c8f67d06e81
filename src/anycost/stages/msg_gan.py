"""Baseline of Table 1: all resolutions are trained in every step, and judged together [MSG-GAN, arXiv 1903.06048]."""

from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import MsgGanConfig
from anycost.networks.multiscale_discriminator import MultiscaleDiscriminator
from anycost.stages.base import AdversarialStage
from anycost.stages.planning import Planner, full_architecture
from anycost.stages.regularisers import PathLength
from anycost.stages.spaces import full_at_each, model_space


class MsgGanStage(AdversarialStage):
    """All channels, one logit per pyramid of pictures; R1 penalises the gradients at all of its pictures."""

    def __init__(self, config: TrainConfig) -> None:
        options = config.stage
        assert isinstance(options, MsgGanConfig)
        space = model_space(config.model, options.num_resolutions)
        super().__init__(config, space, MultiscaleDiscriminator)
        self.planner = Planner(
            seed=config.seed,
            sampler=full_architecture(space),
            resolutions=self.resolutions,
            num_sampled=options.num_resolutions,
            num_styles=space.num_points,
            mixing_probability=options.mixing_probability,
            num_r1=options.num_resolutions,
        )
        if options.path_length.weight:
            self.path_length = PathLength(options.path_length)

    def shown_architectures(self) -> list[str]:
        """The full width at every trained resolution."""
        return full_at_each(self.resolutions)
