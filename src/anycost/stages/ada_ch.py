"""Stage 3: adaptive channels, the discriminator told which [Anycost, Sec. 3.2]."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import AdaChConfig
from anycost.networks.discriminator import Discriminator, Trunk
from anycost.networks.discriminator_layers import Condition
from anycost.networks.sliced_discriminator import SlicedDiscriminator
from anycost.networks.sorting import sort_channels
from anycost.stages.base import AdversarialStage
from anycost.stages.planning import Planner, sampled_architecture
from anycost.stages.spaces import model_space

DISCRIMINATORS: dict[str, Callable[..., Trunk]] = {
    "conditioned": partial(Discriminator, conditioned=True),
    "same": Discriminator,
    "reduced": SlicedDiscriminator,
}


class AdaChStage(AdversarialStage):
    """Sub-generators of sampled widths and resolutions share the weights, most important channels first."""

    def __init__(self, config: TrainConfig, rank: int = 0) -> None:
        options = config.stage
        assert isinstance(options, AdaChConfig)
        space = model_space(config.model, options.num_resolutions, options)
        super().__init__(config, space, DISCRIMINATORS[options.discriminator])
        if options.condition_init == "identity":
            for module in self.discriminator.modules():
                if isinstance(module, Condition):
                    module.make_identity()
        self.planner = Planner(
            seed=config.seed,
            sampler=sampled_architecture(space, options.mode),
            resolutions=self.resolutions,
            num_sampled=options.sampled_resolutions,
            num_styles=space.num_points,
            mixing_probability=options.mixing_probability,
            rank=rank if options.per_rank_architecture else 0,
        )
        self.add_consistency(options.consistency)

    def shown_architectures(self) -> list[str]:
        """The uniform widths, widest first, and half the width at the lower resolutions."""
        widths = ["full", *(f"{ratio:g}" for ratio in reversed(self.space.ratios[:-1]))]
        return widths + [f"0.5@{resolution}" for resolution in reversed(self.resolutions[:-1])]

    def initialise(self, weights: Mapping[str, Tensor]) -> str:
        """Carry over, then sort channels by importance; the teacher, of the same function, stays as it was."""
        report = super().initialise(weights)
        if self.config.stage.sort_channels:
            sort_channels(self.generator, seed=self.seed)
            self.ema.load_state_dict(self.generator.state_dict())
            report += "; channels sorted by importance"
        return report
