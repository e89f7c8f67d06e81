"""Loops: great circles and splines against their definitions, evenly spaced, and closed."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anycost.errors import UserError
from anycost.generation.interpolation import interpolate_styles, loop_styles, loop_times, slerp, slerp_loop, spline_loop
from anycost.generation.styles import Truncation
from anycost.networks.generator import Generator

vectors = arrays(np.float64, 5, elements=st.floats(-10, 10).filter(lambda x: x == 0 or abs(x) > 1e-3))


@settings(max_examples=200, deadline=None)
@given(vectors, vectors, st.floats(0, 1))
def test_slerp_keeps_length_and_ends(start: np.ndarray, end: np.ndarray, t: float) -> None:
    """Length goes evenly, whatever the directions: equal, opposite, and none at all."""
    a, b = torch.from_numpy(start), torch.from_numpy(end)
    lengths = a.norm(), b.norm()
    middle = slerp(a, b, t)
    assert torch.isfinite(middle).all()
    torch.testing.assert_close(middle.norm(), torch.lerp(*lengths, t), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(slerp(a, b, 0.0), a, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(slerp(a, b, 1.0), b, rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(vectors, vectors, st.floats(0, 1))
def test_slerp_turns_evenly(start: np.ndarray, end: np.ndarray, t: float) -> None:
    """The angle from the start is t of the whole: Shoemake's formula, where it is defined."""
    cosine = start @ end / (np.linalg.norm(start) * np.linalg.norm(end)) if start.any() and end.any() else 1.0
    if abs(cosine) > 0.999:
        return
    angle = math.acos(cosine)
    one, other = start / np.linalg.norm(start), end / np.linalg.norm(end)
    shoemake = (math.sin((1 - t) * angle) * one + math.sin(t * angle) * other) / math.sin(angle)
    length = (1 - t) * np.linalg.norm(start) + t * np.linalg.norm(end)
    found = slerp(torch.from_numpy(start), torch.from_numpy(end), t).numpy()
    np.testing.assert_allclose(found, length * shoemake, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("make", [slerp_loop, spline_loop])
@pytest.mark.parametrize("shape", [(2, 16), (5, 16), (4, 8, 16)])
def test_loops_pass_through_their_keyframes_and_close(make, shape: tuple[int, ...]) -> None:
    keys = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    loop = make(keys)
    torch.testing.assert_close(loop(np.arange(len(keys), dtype=float)), keys)
    end = loop(np.array([len(keys) - 1e-6]))
    torch.testing.assert_close(end[0], keys[0], rtol=1e-4, atol=1e-4)


def test_no_step_is_larger_where_a_loop_closes() -> None:
    keys = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
    assert loop_times(4, 25)[-1] == 4 - 1 / 25
    for loop in (slerp_loop(keys), spline_loop(keys)):
        frames = loop(loop_times(4, 25))
        steps = (frames - frames.roll(1, 0)).norm(dim=1)
        assert steps[0] <= steps[1:].max() * 1.01
        assert steps[0] > 0


def test_a_spline_is_smooth_where_it_closes() -> None:
    """Twice continuously differentiable: second differences on both sides of the seam agree, as in its middle."""
    keys = torch.randn(3, 4, generator=torch.Generator().manual_seed(3))
    h = 1e-2
    spline = spline_loop(keys)

    def curvature(t: float) -> torch.Tensor:
        before, at, after = spline(np.array([t - h, t, t + h])).double()
        return (before - 2 * at + after) / h**2

    torch.testing.assert_close(curvature(3 - h), curvature(h), rtol=0.1, atol=0.5)


@pytest.mark.parametrize("latents_in", ["z", "w"])
def test_frames_of_a_loop_in_w(generator: Generator, latents_in: str) -> None:
    codes = torch.randn(3, 16, generator=torch.Generator().manual_seed(4))
    styles = loop_styles(generator, codes, latents_in, 4, "w", noise_seed=9)
    assert len(styles) == 12
    assert set(styles.noise_seeds) == {9}
    keys = generator.styles(codes, latents_in)
    torch.testing.assert_close(styles.all()[::4], keys)
    torch.testing.assert_close(styles.all(), interpolate_styles(keys, 4))
    torch.testing.assert_close(styles.batch(5, 7), styles.all()[5:7])


def test_frames_of_a_loop_in_z(generator: Generator) -> None:
    codes = torch.randn(2, 16, generator=torch.Generator().manual_seed(5))
    truncation = Truncation.of(generator, 0.5)
    styles = loop_styles(generator, codes, "z", 3, "z", truncation)
    middle = slerp(codes[0].double(), codes[1].double(), 2 / 3).float()
    torch.testing.assert_close(styles.all()[2], truncation(generator.styles(middle[None]))[0])


def test_loops_that_cannot_be(generator: Generator) -> None:
    with pytest.raises(UserError, match="at least 2 keyframes, and this one has 1"):
        loop_styles(generator, torch.zeros(1, 16), "z", 3)
    with pytest.raises(UserError, match="interpolate=z needs latents in z; these are w"):
        loop_styles(generator, torch.zeros(2, 16), "w", 3, "z")
