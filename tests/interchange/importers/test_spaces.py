"""From widths to the ladder that gives them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anycost.architecture import ladder
from anycost.errors import UserError
from anycost.interchange.importers.spaces import find_space, resolution_of


@settings(deadline=None, max_examples=300, derandomize=True)
@given(levels=st.integers(1, 9), multiplier=st.floats(0.01, 8, exclude_min=True), cap=st.integers(1, 1024))
def test_any_ladder_is_found(levels: int, multiplier: float, cap: int) -> None:
    """Not always with its multiplier and cap, which widths may hide, but with ones that give the same widths."""
    resolution = 4 << (levels - 1)
    channels = ladder(resolution, multiplier, cap)
    if min(channels) < 1:
        return
    space = find_space(channels, num_resolutions=1)
    assert space.full_channels == channels
    assert space.channels is None
    assert space.multiplier <= multiplier


@pytest.mark.parametrize(("resolution", "multiplier"), [(1024, 2), (1024, 1), (512, 2), (256, 2), (256, 1), (64, 2)])
def test_published_configurations(resolution: int, multiplier: float) -> None:
    space = find_space(ladder(resolution, multiplier, 512), num_resolutions=4)
    assert (space.multiplier, space.channel_cap, space.num_resolutions) == (multiplier, 512, 4)
    assert space.resolutions[-1] == resolution


@pytest.mark.parametrize(("hint", "expected"), [
    ((2, 512), 2), ((1.0, 512), 1), ((None, None), 1), ((0.5, 512), 1), ((float("nan"), 512), 1), (("2", 512), 1),
    ((2, "512"), 1), ((1e300, 512), 1), ((-2, 512), 1), ((2, 0), 1), ((True, 512), 1),
])
def test_the_cap_may_hide_the_multiplier(hint: tuple[object, object], expected: float) -> None:
    """512 everywhere up to 32 px: what the file states decides, where it is a ladder of these widths."""
    assert find_space((512,) * 8, 4, hint).multiplier == expected


@pytest.mark.parametrize("channels", [(512,) * 8 + (128,) * 2, (8, 16), (16, 16, 16, 8), (100, 100, 7, 7)])
def test_widths_of_no_ladder_are_stated(channels: tuple[int, ...]) -> None:
    """The first is rosinality's at multiplier 0.5: 512 up to 32 px whatever the multiplier is."""
    space = find_space(channels, num_resolutions=1)
    assert space.channels == space.full_channels == channels


@pytest.mark.parametrize("levels", [0, -1, 12, 10**6])
def test_absurd_resolutions(levels: int) -> None:
    with pytest.raises(UserError, match="4096 px"):
        resolution_of(levels)
