"""Stage 3 may start with the discriminator of stage 2, whatever architecture it is told."""

import pytest
import torch

from anycost.configuration.composition import compose
from anycost.stages.ada_ch import AdaChStage


@pytest.mark.parametrize("start", ["identity", "random"])
def test_what_the_first_discriminator_makes_of_architectures(start: str) -> None:
    small = ["data.resolution=16", "model.channel_cap=8", "model.latent_dim=16", "stage.consistency.weight=0"]
    config = compose("stage=ada_ch", "init_from=none", f"stage.condition_init={start}", *small)
    stage = AdaChStage(config)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    codes = [torch.tensor(stage.space.one_hot(stage.space.uniform(ratio))) for ratio in stage.space.ratios]
    first, *others = (stage.discriminator(images, code) for code in codes)
    assert all(torch.equal(first, other) for other in others) == (start == "identity")
