"""Baseline "Distill" of Figure 5 [Anycost]: a small student learns to draw what a frozen wide generator draws.

The paper cites Aguinaldo et al. (2019, arXiv 1902.00159) and names no recipe. As there, the student has its own
weights and minimises the MSE to the teacher's picture of the same latent plus the adversarial loss; here the
perceptual distance of Eq. 5 [Anycost] joins the MSE, and both draw with the same noise maps.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import ConsistencyConfig, DistillConfig
from anycost.errors import UserError
from anycost.networks.carry_over import carry_over, generator_of, network_part
from anycost.stages.consistency import Consistency
from anycost.stages.small import SmallStage


class DistillStage(SmallStage):
    """Non-saturating loss plus `imitation_weight` (MSE + perceptual distance) to the teacher's pictures."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        options = config.stage
        assert isinstance(options, DistillConfig)
        if options.imitation_weight:
            distance = ConsistencyConfig(options.imitation_weight, target="teacher", perceptual=options.perceptual)
            self.consistency = Consistency(distance, config.data.filter)

    def initialise(self, weights: Mapping[str, Tensor]) -> str:
        """Take over the discriminator alone: the generator learns from the teacher."""
        try:
            return f"discriminator: {self.take_discriminator(weights)}"
        except UserError as error:
            raise UserError(f"init_from gives stage=distill its discriminator, but {error}") from error

    def learn_from(self, weights: Mapping[str, Tensor]) -> str:
        """Take `generator.*` as the teacher; the student starts with its fixed noise maps and, if asked, its mapping.

        The forms must agree (`initialisation.teacher_weights` checks them). Returns one line that says what was done.
        """
        teacher = generator_of(network_part(weights, "generator"))
        copied = "its noise maps and mapping" if self.options.copy_mapping else "its noise maps"
        with torch.no_grad():
            for student in (self.generator, self.ema):
                for own, wide in zip(student.styled_layers, teacher.styled_layers, strict=True):
                    own.noise.copy_(wide.noise)
                if self.options.copy_mapping:
                    carry_over(teacher.mapping.state_dict(), student.mapping)
        self.teacher = teacher
        return f"channels {teacher.space.full_channels}; the student starts with {copied}"
