"""Statistics agree with torchmetrics and torch-fidelity on the same features, and survive few samples."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import poly_mmd

from anycost.metrics import statistics
from anycost.metrics.states import ClassShares, Moments
from anycost.metrics.statistics import filtered, frechet_distance, inception_score, kernel_distance


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


def test_kernel_distance_of_blocks_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = features(150, 24, 1), features(110, 24, 2, shift=0.3)
    whole = kernel_distance(real, fake)
    monkeypatch.setattr(statistics, "_BLOCK_ENTRIES", 1000)
    assert kernel_distance(real, fake) == pytest.approx(whole, rel=1e-12)


class Given(torch.nn.Module):
    """A feature extractor for torchmetrics that is handed features instead of images."""

    num_features = 16

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def test_the_metric_of_torchmetrics_gives_the_same_distance() -> None:
    """Its whole class, batch by batch, not only its formula."""
    real, fake = features(400, 16, 1), features(300, 16, 2, shift=0.2)
    metric = FrechetInceptionDistance(feature=Given())
    for images, is_real in ((real, True), (fake, False)):
        for part in torch.from_numpy(images).split(64):
            metric.update(part.reshape(-1, 1, 4, 4), real=is_real)
    ours = frechet_distance(Moments.of(real), Moments.of(fake))
    assert metric.compute().item() == pytest.approx(ours, rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(count=st.integers(3, 40), seed=st.integers(0, 1000), shift=st.floats(-100, 100))
def test_frechet_distance_of_moved_turned_and_exchanged_features(count: int, seed: int, shift: float) -> None:
    """Invariant to what moves or turns both sets, also below full rank; the distance of a translation is its square."""
    real, fake = features(count, 12, seed), features(2 * count, 12, seed + 1, shift=0.3)
    expected = frechet_distance(Moments.of(real), Moments.of(fake))
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(12, 12)))[0]
    moved = [Moments.of(x.astype(np.float64) @ turn + shift) for x in (real, fake)]
    assert frechet_distance(*moved) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert frechet_distance(Moments.of(fake), Moments.of(real)) == pytest.approx(expected, rel=1e-6, abs=1e-8)
    translated = Moments.of(real.astype(np.float64) + shift)
    assert frechet_distance(Moments.of(real), translated) == pytest.approx(12 * shift**2, rel=1e-6, abs=1e-6)


def class_shares(logits: np.ndarray, splits: int, batches: int = 4) -> ClassShares:
    state = ClassShares.empty(splits, logits.shape[1])
    places = np.arange(len(logits))
    of = np.array([max(i for i in range(splits) if i * len(logits) // splits <= place) for place in places])
    for part in np.array_split(places, batches):
        state.add(of[part], logits[part])
    return state


@pytest.mark.parametrize(("count", "splits"), [(200, 10), (203, 10), (50, 1)])
@pytest.mark.parametrize("scale", [1, 30])
def test_inception_score_is_the_one_of_torch_fidelity(count: int, splits: int, scale: float) -> None:
    logits = (np.random.default_rng(1).normal(size=(count, 40)) * scale).astype(np.float32)
    theirs = isc_features_to_metric(torch.from_numpy(logits), splits, shuffle=False)
    mean, spread = inception_score(class_shares(logits, splits))
    assert mean == pytest.approx(theirs["inception_score_mean"], rel=1e-4)
    assert spread == pytest.approx(theirs["inception_score_std"], rel=1e-4, abs=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_inception_score_is_the_one_of_torchmetrics() -> None:
    logits = (np.random.default_rng(2).normal(size=(120, 16)) * 3).astype(np.float32)
    metric = InceptionScore(feature=Given(), splits=1)
    metric.update(torch.from_numpy(logits).reshape(-1, 1, 4, 4))
    mean, _ = inception_score(class_shares(logits, 1))
    assert mean == pytest.approx(metric.compute()[0].item(), rel=1e-4)


def test_inception_score_of_known_answers() -> None:
    """Sure and even over C classes: C. The same answer for every image: 1. Empty splits do not count."""
    sure = np.full((40, 8), -1e3, dtype=np.float32)
    sure[np.arange(40), np.arange(40) % 8] = 1e3
    assert inception_score(class_shares(sure, 1))[0] == pytest.approx(8, rel=1e-12)
    assert inception_score(class_shares(np.repeat(sure[:1], 10, axis=0), 2)) == pytest.approx((1, 0), abs=1e-12)
    partial = ClassShares.empty(10, 8)
    partial.add(np.zeros(40, dtype=np.int64), sure)
    assert inception_score(partial)[0] == pytest.approx(8, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_the_filter_drops_what_lies_outside_the_percentiles(values: list[float]) -> None:
    """By ranks: the 1st percentile taken down, the 99th taken up, both kept."""
    ordered = sorted(values)
    last = len(values) - 1
    low, high = ordered[int(np.floor(last * 0.01))], ordered[int(np.ceil(last * 0.99 - 1e-9))]
    expected = [value for value in values if low <= value <= high]
    assert filtered(np.array(values), 1, 99).tolist() == expected
