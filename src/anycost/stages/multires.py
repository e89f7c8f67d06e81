"""Stage 2: sampling-based training of several output resolutions [Anycost, Sec. 3.1]."""

from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import MultiresConfig
from anycost.stages.base import AdversarialStage
from anycost.stages.planning import Planner, full_architecture
from anycost.stages.spaces import full_at_each, model_space


class MultiresStage(AdversarialStage):
    """All channels, a few resolutions drawn in each phase, consistency between them."""

    def __init__(self, config: TrainConfig) -> None:
        options = config.stage
        assert isinstance(options, MultiresConfig)
        space = model_space(config.model, options.num_resolutions)
        super().__init__(config, space)
        self.planner = Planner(
            seed=config.seed,
            sampler=full_architecture(space),
            resolutions=self.resolutions,
            num_sampled=options.sampled_resolutions,
            num_styles=space.num_points,
            mixing_probability=options.mixing_probability,
        )
        self.add_consistency(options.consistency)

    def shown_architectures(self) -> list[str]:
        """The full width at every trained resolution."""
        return full_at_each(self.resolutions)
