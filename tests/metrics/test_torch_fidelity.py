"""From pictures to numbers: torch-fidelity's own command on the same pictures and Inception weights says the same.

All features are Inception's here, precision's and recall's too: one network that is quick.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics

from anycost.metrics.batches import Batch
from anycost.metrics.measures import build_measures
from anycost.metrics.protocols import TENSORFLOW_299
from anycost.metrics.table import PROTOCOLS
from anycost.networks.published import INCEPTION

COUNT = 12


class Pictures(Dataset):
    """Smooth uint8 pictures of 24 px."""

    def __init__(self, seed: int, brightness: float) -> None:
        coarse = torch.rand(COUNT, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * brightness
        self.pictures = (nn.functional.interpolate(coarse, 24, mode="bilinear") * 255).to(torch.uint8)

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, place: int) -> Tensor:
        return self.pictures[place]


@pytest.mark.slow  # torch-fidelity's matrix root
@pytest.mark.filterwarnings("ignore")
def test_torch_fidelity_says_the_same_of_the_same_pictures(inception: nn.Module, hub: Path) -> None:
    fake, real = Pictures(1, 0.8), Pictures(2, 1.0)
    theirs = calculate_metrics(
        input1=fake, input2=real, fid=True, kid=True, isc=True, prc=True, cuda=False, cache=False, verbose=False,
        batch_size=6, kid_subsets=5, kid_subset_size=10, samples_shuffle=False, isc_splits=4,
        feature_extractor="inception-v3-compat", feature_extractor_weights_path=str(hub / INCEPTION.file),
    )  # fmt: skip
    protocols = [
        replace(PROTOCOLS["fid50k_full"], samples=COUNT),
        replace(PROTOCOLS["kid50k_full"], samples=COUNT, subsets=5, subset_size=10),
        replace(PROTOCOLS["is50k"], samples=COUNT, splits=4),
        replace(PROTOCOLS["pr50k3_full"], samples=COUNT, features="inception", resize=TENSORFLOW_299),
    ]
    ours = {}
    batches = [Batch(fake.pictures[start : start + 6]) for start in (0, 6)]
    real_batches = [Batch(real.pictures[start : start + 6]) for start in (0, 6)]
    for measure in build_measures(protocols):
        state, reals = measure.empty(), measure.real_empty()
        for number, (one, other) in enumerate(zip(batches, real_batches, strict=True)):
            measure.add(state, one, 6 * number)
            if measure.needs_reals:
                measure.add_reals(reals, other, 6 * number)
        for part, value in measure.values(state, reals).items():
            ours[f"{measure.protocol.kind}_{part}"] = value
    expected = {
        "frechet_": theirs["frechet_inception_distance"],
        "kernel_": theirs["kernel_inception_distance_mean"],
        "inception_score_mean": theirs["inception_score_mean"],
        "inception_score_std": theirs["inception_score_std"],
        "precision_recall_precision": theirs["precision"],
        "precision_recall_recall": theirs["recall"],
    }
    assert ours == pytest.approx(expected, rel=1e-4, abs=1e-12)
