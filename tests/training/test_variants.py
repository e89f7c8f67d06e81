"""Options that must not change what is computed: recomputed blocks, compiled networks."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from anycost.runs import RunDir

Train = Callable[..., RunDir]


@pytest.mark.parametrize("stage", ["stylegan2", "multires", "flexible", "reduced", "msg_gan"])
def test_recomputed_blocks_change_nothing(
    train: Train, same_but_rounding: Callable[[RunDir, RunDir], None], stage: str
) -> None:
    """All phases: discriminator, R1, generator with consistency, path length."""
    options = ["trainer.precision=64"]
    same_but_rounding(train("plain", stage, 32, *options), train("recomputed", stage, 32, *options,
                                                               "model.checkpointing=true"))


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="torch.compile needs a C++ compiler")
def test_compiled_networks_train_alike(train: Train, state_of: Callable[[RunDir], dict[str, Any]]) -> None:
    """Two steps with R1 and path length, which run eagerly; Adam divides, so single weights may differ more."""
    options = ["data.resolution=8", "stage.optimizer.lazy_correction=false"]
    plain = state_of(train("plain", "stylegan2", 16, *options))
    compiled = state_of(train("compiled", "stylegan2", 16, *options, "trainer.compile=true"))
    for name, value in plain.items():
        if name.startswith("/stage/"):
            distance = float((compiled[name] - value).abs().mean())
            assert distance <= 1e-4 * max(float(value.abs().mean()), 0.01), name
