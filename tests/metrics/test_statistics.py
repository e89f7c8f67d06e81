"""Distances agree with torchmetrics and torch-fidelity on the same features, and survive few samples."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from anycost.metrics.statistics import Moments, frechet_distance, kernel_distance


def features(count: int, dimension: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Correlated, non-negative features, like those of a pooled ReLU layer."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(dimension, dimension)) / np.sqrt(dimension)
    return np.maximum(rng.normal(shift, 1, size=(count, dimension)) @ mixing + 0.3, 0).astype(np.float32)


@pytest.mark.parametrize("split", [[1, 1, 298], [100, 100, 100], [299, 1], [300]])
@pytest.mark.parametrize("offset", [0, 1e6])
def test_merged_batches_give_the_moments_of_the_whole(split: list[int], offset: float) -> None:
    whole = features(300, 20, seed=1).astype(np.float64) + offset
    moments = Moments.empty(20)
    for part in np.split(whole, np.cumsum(split)[:-1]):
        moments = moments.merged(Moments.of(part))
    assert moments.count == 300
    np.testing.assert_allclose(moments.mean, whole.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(whole, rowvar=False), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(("count", "dimension"), [(500, 32), (300, 150), (2000, 8)])
def test_frechet_distance_is_the_one_of_torchmetrics_and_torch_fidelity(count: int, dimension: int) -> None:
    real, fake = features(count, dimension, 1), features(count // 2, dimension, 2, shift=0.2)
    ours = frechet_distance(Moments.of(real), Moments.of(fake))
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (real, fake)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert ours == pytest.approx(theirs, rel=1e-4)
    tensors = [torch.from_numpy(np.asarray(x[key])).double() for x in statistics for key in ("mu", "sigma")]
    assert ours == pytest.approx(_compute_fid(*tensors).item(), rel=1e-4)


@pytest.mark.parametrize("count", [2, 10, 63, 64])
def test_frechet_distance_is_stable_below_the_rank(count: int) -> None:
    """Fewer samples than dimensions: symmetric, zero for the same set, exact where it is known."""
    real, fake = Moments.of(features(count, 64, 1)), Moments.of(features(count, 64, 2))
    assert real.is_deficient
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(fake, real), rel=1e-9)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-6)
    moved = Moments(fake.count, fake.mean + 3, fake.scatter)
    assert frechet_distance(fake, moved) == pytest.approx(9 * 64, rel=1e-6)


def test_frechet_distance_of_known_gaussians() -> None:
    one = Moments(101, np.array([0.0, 1.0]), 100 * np.diag([4.0, 9.0]))
    two = Moments(101, np.array([3.0, 1.0]), 100 * np.diag([1.0, 1.0]))
    assert frechet_distance(one, two) == pytest.approx(9 + (2 - 1) ** 2 + (3 - 1) ** 2, rel=1e-12)
    assert not one.is_deficient


@pytest.mark.parametrize(("real_count", "fake_count"), [(200, 200), (300, 200)])
def test_kernel_distance_is_the_one_of_torch_fidelity(real_count: int, fake_count: int) -> None:
    real, fake = features(real_count, 24, 1), features(fake_count, 24, 2, shift=0.3)
    theirs = kid_features_to_metric(
        torch.from_numpy(real).double(), torch.from_numpy(fake).double(),
        kid_subsets=10, kid_subset_size=100, kid_degree=3, kid_gamma=None, kid_coef0=1,
        rng_seed=2020, verbose=False,
    )["kernel_inception_distance_mean"]  # fmt: skip
    assert kernel_distance(real, fake, subsets=10, subset_size=100) == pytest.approx(theirs, rel=1e-4)


def test_kernel_distance_of_all_pairs_is_the_one_of_torchmetrics() -> None:
    real, fake = features(150, 24, 1), features(150, 24, 2, shift=0.3)
    theirs = poly_mmd(torch.from_numpy(real).double(), torch.from_numpy(fake).double()).item()
    assert kernel_distance(real, fake) == pytest.approx(theirs, rel=1e-4)
    every_subset_is_the_whole = kernel_distance(real, fake, subsets=3)
    assert every_subset_is_the_whole == pytest.approx(theirs, rel=1e-4)


def test_kernel_distance_is_unbiased() -> None:
    """Between halves of one distribution the mean over draws is zero within its own error."""
    values = [kernel_distance(features(60, 12, 2 * k), features(60, 12, 2 * k + 1)) for k in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
