"""The space of a generator of which only the widths are known."""

from collections.abc import Sequence
from typing import Any

from anycost.architecture import ArchitectureSpace, ladder
from anycost.errors import UserError

_HIGHEST = 4096  # px; keeps damaged files from asking for a tower of layers
_BASE = 16384
PUBLISHED_RATIOS = (0.25, 0.5, 0.75, 1.0)


def resolution_of(levels: int) -> int:
    """Output resolution of a generator that doubles 4 px `levels - 1` times; `UserError` for an absurd one."""
    if levels < 1 or 4 << (levels - 1) > _HIGHEST:
        raise UserError(f"a generator of {levels} resolutions is not between 4 and {_HIGHEST} px")
    return 4 << (levels - 1)


def find_space(
    channels: Sequence[int],
    num_resolutions: int,
    hint: tuple[Any, Any] = (None, None),
    ratios: tuple[float, ...] = PUBLISHED_RATIOS,
) -> ArchitectureSpace:
    """The space whose full channels are `channels` (one per point), with the ladder that gives them.

    The ladder decides how many channels the uniform sub-networks keep. `hint`, the (multiplier, channel_cap) that the
    file itself states, wins where it fits: a cap can hide the multiplier (512 everywhere up to 32 px is that of 1 and
    of 2). Else it is the smallest multiplier that gives these channels, as the official code infers it from the last
    layer. Channels of no ladder are stated as they are. `ratios` are those that were trained.
    """
    channels = tuple(channels)
    resolution = resolution_of(len(channels) // 2)
    for multiplier, cap in (hint, _smallest(channels)):
        if _usable(multiplier, cap) and ladder(resolution, multiplier, cap) == channels:
            return ArchitectureSpace(resolution, float(multiplier), cap, num_resolutions, ratios)
    return ArchitectureSpace(resolution, num_resolutions=num_resolutions, ratios=ratios, channels=channels)


def _smallest(channels: tuple[int, ...]) -> tuple[float, int]:
    """If any ladder gives `channels`, this one does: no multiplier below gives as many channels anywhere."""
    multiplier = max(count * (4 << point // 2) / _BASE for point, count in enumerate(channels))
    visible = int(_BASE / 4 * multiplier) > channels[0]
    return multiplier, channels[0] if visible else max(512, channels[0])


def _usable(multiplier: Any, cap: Any) -> bool:
    numbers = isinstance(multiplier, int | float) and isinstance(cap, int)
    return numbers and not isinstance(multiplier, bool) and 0 < multiplier <= 1024 and cap >= 1
