"""Baseline "ChannelPrune" of Figure 5 [Anycost]: a wide generator loses its least important channels and is trained on.

The paper cites He et al. (ICCV 2017) and names no recipe. Channels go by magnitude, all at once (`networks.pruning`);
the fine-tuning is stage 1, with the wide generator's discriminator where it fits.
"""

import logging
from collections.abc import Mapping

from torch import Tensor

from anycost.errors import UserError
from anycost.networks.carry_over import carry_over, generator_of, network_part
from anycost.networks.pruning import prune
from anycost.stages.small import SmallStage

log = logging.getLogger(__name__)


class PruneStage(SmallStage):
    """The wide generator of `init_from`, cut to the ladder of the model; consistency is measured with the uncut one."""

    def initialise(self, weights: Mapping[str, Tensor]) -> str:
        """Prune `generator.*`, which is at least as wide everywhere, and carry `discriminator.*` over if it fits."""
        self.teacher = generator_of(network_part(weights, "generator"))
        pruned = prune(self.teacher, self.space.full_channels, seed=self.seed)
        carry_over(pruned.state_dict(), self.generator)
        self.ema.load_state_dict(self.generator.state_dict())
        before, after = self.teacher.space.full_channels, self.space.full_channels
        try:
            discriminator = self.take_discriminator(weights)
        except UserError as error:
            log.warning("the discriminator stays fresh: %s", error)
            discriminator = "fresh"
        return f"generator: channels {before} pruned to {after}; discriminator: {discriminator}"
