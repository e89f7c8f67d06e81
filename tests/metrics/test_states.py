"""States: merged in any order, stored and read to the bit, no larger than the metric needs."""

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycost.metrics.states import Agreements, ClassShares, Moments, Rows, State

COUNT, WIDTH = 24, 5


def rows(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 1, size=(COUNT, WIDTH)).astype(np.float32)


def moments(start: int, stop: int) -> Moments:
    state = Moments.empty(WIDTH)
    if stop > start:
        state.add(rows()[start:stop])
    return state


def kept(start: int, stop: int) -> Rows:
    state = Rows((WIDTH,), np.float32)
    state.add(start, rows()[start:stop])
    return state


def distances(start: int, stop: int) -> Rows:
    state = Rows((), np.float64)
    state.add(start, rows()[start:stop, 0].astype(np.float64) / 3)
    return state


def shares(start: int, stop: int) -> ClassShares:
    state = ClassShares.empty(3, WIDTH)
    state.add(np.arange(start, stop) * 3 // COUNT, rows()[start:stop])
    return state


def agreements(start: int, stop: int) -> Agreements:
    state = Agreements.empty(WIDTH)
    state.add(rows()[start:stop] > 3)
    return state


MAKERS = [moments, kept, distances, shares, agreements]
EXACT = [kept, distances, agreements]
Maker = Callable[[int, int], Any]


def equal(one: State, other: State, tolerance: float = 0) -> None:
    assert one.count == other.count
    first, second = one.arrays(), other.arrays()
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].dtype == second[name].dtype
        np.testing.assert_allclose(first[name], second[name], rtol=tolerance, atol=tolerance)


@st.composite
def shuffled_parts(draw: st.DrawFn) -> list[tuple[int, int]]:
    edges = sorted(draw(st.sets(st.integers(1, COUNT - 1), max_size=6)) | {0, COUNT})
    return draw(st.permutations(list(pairwise(edges))))


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=30, deadline=None)
@given(parts=shuffled_parts())
def test_parts_merge_to_the_whole_in_any_order(make: Maker, parts: list[tuple[int, int]]) -> None:
    state = make(0, 0)
    for part in parts:
        state = state.merged(make(*part))
    equal(state, make(0, COUNT), tolerance=0 if make in EXACT else 1e-12)


@pytest.mark.parametrize("make", MAKERS)
def test_merging_changes_neither_part(make: Maker) -> None:
    one, other = make(0, 10), make(10, COUNT)
    union = one.merged(other)
    equal(one, make(0, 10))
    equal(other, make(10, COUNT))
    assert union.count == COUNT


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("stop", [0, 7, COUNT])
def test_a_state_survives_a_file_to_the_bit_and_goes_on(make: Maker, stop: int) -> None:
    state = make(0, stop)
    file = io.BytesIO()
    np.savez(file, **state.arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        again = type(state).from_arrays(dict(stored))
    equal(again, state)
    equal(again.merged(make(stop, COUNT)), state.merged(make(stop, COUNT)))


def test_rows_that_come_in_any_order_are_handed_out_by_index() -> None:
    state = Rows((WIDTH,), np.float32)
    for start in (16, 0, 8):
        state.add(start, rows()[start : start + 8])
    np.testing.assert_array_equal(state.ordered(), rows())
    with pytest.raises(AssertionError, match="twice"):
        state.merged(kept(3, 4)).ordered()


@pytest.mark.parametrize("make", [moments, shares, agreements])
def test_sums_do_not_grow_with_the_images(make: Maker) -> None:
    sizes = [sum(array.nbytes for array in make(0, stop).arrays().values()) for stop in (1, COUNT)]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("make", "size"), [(kept, WIDTH * 4 + 8), (distances, 8 + 8)])
def test_rows_take_what_they_must(make: Maker, size: int) -> None:
    assert sum(array.nbytes for array in make(0, COUNT).arrays().values()) == COUNT * size


@settings(max_examples=30, deadline=None)
@given(shift=st.floats(-1e4, 1e4), order=st.permutations(range(COUNT)))
def test_moments_of_moved_and_shuffled_features(shift: float, order: list[int]) -> None:
    features = rows().astype(np.float64)
    plain, moved = Moments.of(features), Moments.of(features[order] + shift)
    np.testing.assert_allclose(moved.mean, plain.mean + shift, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(moved.scatter, plain.scatter, rtol=1e-7, atol=1e-7)


def test_the_root_follows_the_moments() -> None:
    state = moments(0, 12)
    for start in (12, 18):
        np.testing.assert_allclose(state.root @ state.root, state.covariance, atol=1e-9)
        state.add(rows()[start : start + 6])
    np.testing.assert_allclose(state.root @ state.root, np.cov(rows().astype(np.float64), rowvar=False), atol=1e-9)
