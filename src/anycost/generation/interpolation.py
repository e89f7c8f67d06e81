"""Closed loops through keyframes: great circles between z, a periodic cubic spline through w.

Time runs from 0 to K through K keyframes: keyframe k is at time k, and at time K it is keyframe 0 again. Frame t of
`frames` per keyframe is at time `t / frames`, so the last frame is one step before the first, and the loop closes.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import Tensor

from anycost.errors import UserError
from anycost.generation.styles import NO_TRUNCATION, Styles, Truncation, code_styles
from anycost.networks.generator import Generator

Loop = Callable[[NDArray[np.float64]], Tensor]
"""Times `[T]` -> codes `[T, ...]` in float32."""


def loop_times(keyframes: int, frames: int) -> NDArray[np.float64]:
    """`[keyframes * frames]`: 0, 1 / frames, ..., one step before `keyframes`."""
    return np.arange(keyframes * frames) / frames


def slerp(start: Tensor, end: Tensor, t: Tensor | float) -> Tensor:
    """Between vectors `[..., d]`: the direction along the great circle, the length evenly; t in 0 .. 1, broadcast.

    Opposite directions are joined through some fixed perpendicular one; a zero vector takes the other's direction.
    """
    tiny = torch.finfo(start.dtype).tiny
    lengths = [vector.norm(dim=-1, keepdim=True) for vector in (start, end)]
    other = torch.where(lengths[1] > 0, end / lengths[1].clamp_min(tiny), start / lengths[0].clamp_min(tiny))
    one = torch.where(lengths[0] > 0, start / lengths[0].clamp_min(tiny), other)
    aside = _perpendicular(one, other)
    angle = torch.atan2((other * aside).sum(-1, keepdim=True), (other * one).sum(-1, keepdim=True))
    direction = torch.cos(t * angle) * one + torch.sin(t * angle) * aside
    return direction * torch.lerp(lengths[0], lengths[1], torch.as_tensor(t, dtype=start.dtype))


def slerp_loop(keyframes: Tensor) -> Loop:
    """Through z codes `[K, ..., latent_dim]`."""
    keys = keyframes.double().cpu()

    def at(times: NDArray[np.float64]) -> Tensor:
        floor = np.floor(times)
        index = torch.from_numpy(floor.astype(np.int64)) % len(keys)
        t = torch.from_numpy(times - floor).reshape(-1, *[1] * (keys.dim() - 1))
        return slerp(keys[index], keys[(index + 1) % len(keys)], t).float()

    return at


def spline_loop(keyframes: Tensor) -> Loop:
    """Through w or W+ codes `[K, ..., latent_dim]`: twice continuously differentiable, also where it closes."""
    keys = keyframes.double().cpu().numpy()
    spline = CubicSpline(np.arange(len(keys) + 1), np.concatenate([keys, keys[:1]]), bc_type="periodic")
    return lambda times: torch.from_numpy(spline(times)).float()


def interpolate_styles(w_plus: Tensor, frames: int) -> Tensor:
    """W+ keyframes `[K, n, d]`, K at least 2 -> the loop `[K * frames, n, d]` through them."""
    return spline_loop(w_plus)(loop_times(len(w_plus), frames))


def loop_styles(
    generator: Generator,
    codes: Tensor,
    latents_in: str,
    frames: int,
    interpolate: str = "w",
    truncation: Truncation = NO_TRUNCATION,
    noise_seed: int = 0,
) -> Styles:
    """The frames of a loop through K codes `[K, d]`, `[K, 1, d]` or `[K, n, d]`, `frames` a keyframe.

    `interpolate` says where: `"z"` (great circles; codes must be z) or `"w"`. All frames share one noise seed, so
    that drawn noise does not flicker. Raises `UserError` below 2 keyframes.
    """
    if len(codes) < 2:
        raise UserError(f"a loop needs at least 2 keyframes, and this one has {len(codes)}; name more seeds or latents")
    if interpolate == "z" and latents_in != "z":
        raise UserError("interpolate=z needs latents in z; these are w: use interpolate=w")
    times = loop_times(len(codes), frames)
    loop = slerp_loop(codes) if interpolate == "z" else spline_loop(code_styles(generator, codes, latents_in))

    def batch(start: int, stop: int) -> Tensor:
        return code_styles(generator, loop(times[start:stop]), interpolate, truncation)

    return Styles([f"frame{number:05d}" for number in range(len(times))], [noise_seed] * len(times), batch)


def _perpendicular(one: Tensor, other: Tensor) -> Tensor:
    """Unit vector in the plane of two unit vectors at a right angle to the first; any where they span none."""
    rest = other - (other * one).sum(-1, keepdim=True) * one
    axis = torch.zeros_like(one).scatter(-1, one.abs().argmin(-1, keepdim=True), 1.0)
    spare = axis - (axis * one).sum(-1, keepdim=True) * one
    rest = torch.where(rest.norm(dim=-1, keepdim=True) > 1e-12, rest, spare)
    return rest / rest.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(one.dtype).tiny)
