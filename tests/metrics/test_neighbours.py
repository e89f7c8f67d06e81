"""Precision and recall: an independent float64 reference, torch-fidelity's, and what must hold for any features."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_prc import prc_features_to_metric

from anycost.metrics.neighbours import precision_recall


def features(count: int, dimension: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, size=(count, dimension)).astype(np.float32)


def reference(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, float]:
    """By the definition, one vector at a time."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)

    def reach(vectors: np.ndarray, place: int) -> float:
        others = np.delete(vectors, place, axis=0)
        return np.sort(np.sqrt(((others - vectors[place]) ** 2).sum(axis=1)))[k - 1]

    def covered(points: np.ndarray, balls: np.ndarray) -> float:
        reaches = [reach(balls, place) for place in range(len(balls))]
        inside = [
            any(np.sqrt(((point - ball) ** 2).sum()) <= one for ball, one in zip(balls, reaches, strict=True))
            for point in points
        ]
        return float(np.mean(inside))

    return covered(fake, real), covered(real, fake)


@pytest.mark.parametrize(("real_count", "fake_count", "dimension"), [(60, 60, 3), (40, 90, 8), (90, 25, 2)])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("block", [7, 64, 2048])
def test_the_definition(real_count: int, fake_count: int, dimension: int, k: int, block: int) -> None:
    real, fake = features(real_count, dimension, 1), features(fake_count, dimension, 2, shift=0.7)
    expected = reference(real, fake, k)
    assert precision_recall(real, fake, k, block=block) == expected
    assert min(expected) > 0
    assert max(expected) < 1


@pytest.mark.parametrize(("real_count", "fake_count"), [(300, 300), (500, 200)])
def test_torch_fidelity_says_the_same(real_count: int, fake_count: int) -> None:
    real, fake = features(real_count, 16, 3), features(fake_count, 16, 4, shift=0.3)
    theirs = prc_features_to_metric(
        torch.from_numpy(fake).double(), torch.from_numpy(real).double(),
        prc_neighborhood=3, prc_batch_size=100, save_cpu_ram=False, verbose=False,
    )  # fmt: skip
    assert precision_recall(real, fake) == pytest.approx((theirs["precision"], theirs["recall"]), rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(5, 40), seed=st.integers(0, 10_000), shift=st.floats(-50, 50), scale=st.floats(0.01, 100),
    random=st.randoms(use_true_random=False),
)  # fmt: skip
def test_neither_order_nor_place_nor_scale_matter(count: int, seed: int, shift: float, scale: float, random) -> None:
    real, fake = features(count, 4, seed), features(count + 3, 4, seed + 1, shift=0.5)
    expected = precision_recall(real, fake)
    orders = [random.sample(range(len(x)), len(x)) for x in (real, fake)]
    moved = [x.astype(np.float64)[order] * scale + shift for x, order in zip((real, fake), orders, strict=True)]
    assert precision_recall(*moved) == pytest.approx(expected, abs=1e-9)
    precision, recall = expected
    assert precision_recall(fake, real) == (recall, precision)


@settings(max_examples=25, deadline=None)
@given(count=st.integers(4, 40), seed=st.integers(0, 10_000), size=st.floats(0.1, 1e4))
def test_the_same_set_is_inside_itself_and_a_far_one_is_not(count: int, seed: int, size: float) -> None:
    real = features(count, 6, seed) * np.float32(size)
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, real + np.float32(1e3 * size)) == (0, 0)


@pytest.mark.parametrize("dimension", [64, 4096])
def test_copies_have_no_reach_but_cover_themselves(dimension: int) -> None:
    """Balls of radius zero, where rounding must not decide."""
    vectors = features(5, dimension, 1) * 100
    copies = np.repeat(vectors, 4, axis=0)
    assert precision_recall(copies, vectors + np.float32(0.1))[0] == 0
    assert precision_recall(copies, np.repeat(vectors[:2], 4, axis=0)) == (1, 0.4)
