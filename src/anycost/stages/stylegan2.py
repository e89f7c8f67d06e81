"""Stage 1: StyleGAN2 at the full resolution with all channels [A Sec. 4]."""

from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import StageConfig
from anycost.stages.base import AdversarialStage
from anycost.stages.planning import Planner, full_architecture
from anycost.stages.regularisers import PathLength
from anycost.stages.spaces import model_space


class Stylegan2Stage(AdversarialStage):
    """One resolution, one width, R1 and path-length regularisation."""

    def __init__(self, config: TrainConfig) -> None:
        options = config.stage
        assert isinstance(options, StageConfig)
        space = model_space(config.model, num_resolutions=1)
        super().__init__(config, space)
        self.planner = Planner(
            seed=config.seed,
            sampler=full_architecture(space),
            resolutions=self.resolutions,
            num_sampled=1,
            num_styles=space.num_points,
            mixing_probability=options.mixing_probability,
        )
        if options.path_length.weight:
            self.path_length = PathLength(options.path_length)
