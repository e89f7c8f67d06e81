"""The channel ladders that the paper's tables and the released models rest on."""

import pytest

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError

F_FULL = [512, 512, 512, 512, 512, 256, 128, 64, 32]
E_FULL = [512, 512, 512, 512, 256, 128, 64, 32, 16]
UNIFORM = [
    (2, 1.0, F_FULL),
    (2, 0.75, [512, 512, 512, 512, 384, 192, 96, 48, 24]),
    (2, 0.5, E_FULL),
    (2, 0.25, [512, 512, 512, 256, 128, 64, 32, 16, 8]),
    (1, 1.0, E_FULL),
    (1, 0.75, [512, 512, 512, 384, 192, 96, 48, 24, 12]),
    (1, 0.5, [512, 512, 512, 256, 128, 64, 32, 16, 8]),
    (1, 0.25, [512, 512, 256, 128, 64, 32, 16, 8, 4]),
]
SIZES = [1024, 512, 256, 128, 64, 32]
OFFICIAL_18G = [512] * 7 + [384, 256, 256, 64, 64, 32, 64, 32, 32, 16, 16]


def twice(widths: list[int], resolution: int = 1024) -> tuple[int, ...]:
    """Two channel points per resolution, up to `resolution`."""
    return tuple(width for width in widths[: resolution.bit_length() - 2] for _ in range(2))


def space(resolution: int = 1024, multiplier: float = 2, **options: object) -> ArchitectureSpace:
    return ArchitectureSpace(resolution=resolution, multiplier=multiplier, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("resolution", SIZES)
@pytest.mark.parametrize(("multiplier", "ratio", "widths"), UNIFORM)
def test_uniform_ladder_is_the_published_table(multiplier: float, ratio: float, widths: list[int],
                                               resolution: int) -> None:
    architecture = space(resolution, multiplier).uniform(ratio)
    assert architecture.channels == twice(widths, resolution)
    assert architecture.ratios == (ratio,) * (2 * resolution.bit_length() - 4)
    assert architecture.resolution == resolution


@pytest.mark.parametrize("resolution", SIZES)
def test_half_of_config_f_is_config_e(resolution: int) -> None:
    assert space(resolution, 2).uniform(0.5).channels == space(resolution, 1).full_channels


@pytest.mark.parametrize(("resolution", "multiplier", "cap", "widths"), [
    (32, 0.125, 64, [64, 64, 64, 64]),
    (64, 0.25, 128, [128, 128, 128, 128, 64]),
    (128, 0.5, 256, [256, 256, 256, 256, 128, 64]),
    (32, 2, 16, [16, 16, 16, 16]),
])
def test_full_channels_of_small_models(resolution: int, multiplier: float, cap: int,
                                       widths: list[int]) -> None:
    assert space(resolution, multiplier, channel_cap=cap).full_channels == twice(widths)


@pytest.mark.parametrize(("resolution", "multiplier", "widths"), [
    (32, 2, [512, 512, 512, 256]),
    (16, 2, [512, 512, 512]),
    (32, 1, [512, 512, 256, 128]),
])
def test_multiplier_is_stored_and_not_guessed_from_the_last_layer(resolution: int, multiplier: float,
                                                                  widths: list[int]) -> None:
    """Trap 2: the official code infers the multiplier from a capped layer, and narrows these lists."""
    assert space(resolution, multiplier, num_resolutions=1).uniform(0.25).channels == twice(widths)


def test_allowed_ratios_of_config_f() -> None:
    config_f = space()
    expected = {4: (1.0,), 8: (1.0,), 16: (1.0,), 32: (0.5, 0.75, 1.0)}
    for point in range(config_f.num_points):
        side = 4 << (point // 2)
        assert config_f.allowed_ratios(point) == expected.get(side, (0.25, 0.5, 0.75, 1.0)), side


@pytest.mark.parametrize("cap", [8, 16, 60, 100])
def test_every_point_has_an_allowed_ratio_under_a_small_cap(cap: int) -> None:
    """Trap 3: a bottom line that ignores the model's own cap leaves no ratio at all."""
    small = space(64, 1, channel_cap=cap)
    assert all(1.0 in small.allowed_ratios(point) for point in range(small.num_points))


def test_flexible_space_of_config_f_has_the_published_size() -> None:
    highest = space(num_resolutions=1)
    assert highest.count("flexible") == 9_437_184
    below = [3**2 * 4**8, 3**2 * 4**6, 3**2 * 4**4]
    assert space(num_resolutions=4).count("flexible") == 9_437_184 + sum(below)


@pytest.mark.parametrize(("multiplier", "ratio", "point", "count"), [
    (2, 0.25, 17, 8),       # 32 channels
    (1, 0.25, 17, 8),       # 16 channels: 4 is below min_channels
    (1, 0.75, 17, 12),
    (1, 0.5, 17, 8),
    (1, 0.25, 15, 8),
])
def test_flexible_counts_obey_the_minimum(multiplier: float, ratio: float, point: int, count: int) -> None:
    ratios = [1.0] * 18
    ratios[point] = ratio
    assert space(multiplier=multiplier).from_ratios(ratios).channels[point] == count


@pytest.mark.parametrize(("cap", "divided_by", "ratio", "count"), [
    (100, 4, 0.75, 76), (100, 4, 0.25, 28), (60, 8, 0.25, 16), (60, 8, 1.0, 60), (6, 4, 0.5, 6),
])
def test_flexible_counts_are_rounded_up_but_never_above_full(cap: int, divided_by: int, ratio: float,
                                                             count: int) -> None:
    small = space(64, 2, channel_cap=cap, divided_by=divided_by)
    assert small.from_ratios([ratio] * small.num_points).channels == (count,) * small.num_points


@pytest.mark.parametrize(("resolution", "length"), [(1024, 72), (512, 64), (256, 56), (64, 40), (32, 32)])
def test_code_has_four_entries_per_point_of_the_model(resolution: int, length: int) -> None:
    model = space(resolution)
    assert len(model.one_hot(model.full())) == length
    assert len(model.one_hot(model.full(resolution // 2))) == length


def test_code_lists_the_ratios_of_the_points_in_order() -> None:
    small = space(8, num_resolutions=1, channel_cap=16)
    code = small.one_hot(small.from_ratios([0.25, 0.5, 0.75, 1.0]))
    assert code == (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)


def test_code_tells_the_ratio_even_where_no_channel_is_dropped() -> None:
    config_f = space()
    assert config_f.uniform(0.5).channels[0] == config_f.full_channels[0]
    assert config_f.one_hot(config_f.uniform(0.5)) == (0, 1, 0, 0) * 18


def test_official_search_entry_gets_the_nearest_ratios() -> None:
    architecture = space().from_channels(OFFICIAL_18G, 256)
    assert architecture.resolution == 256
    assert architecture.channels == tuple(OFFICIAL_18G)
    assert architecture.ratios[7:14] == (0.75, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5)


def test_resolutions_are_the_highest_ones() -> None:
    assert space(num_resolutions=4).resolutions == (128, 256, 512, 1024)
    assert space(64, num_resolutions=4).resolutions == (8, 16, 32, 64)


@pytest.mark.parametrize("options", [
    {"resolution": 48}, {"resolution": 0}, {"resolution": 64, "num_resolutions": 9},
    {"resolution": 64, "num_resolutions": 0}, {"resolution": 64, "multiplier": 0.0},
    {"resolution": 64, "ratios": (0.5, 0.25, 1.0)},
])
def test_impossible_spaces_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError):
        ArchitectureSpace(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [[16] * 5, [16] * 7, [16] * 5 + [17], [16] * 5 + [0]])
def test_impossible_channel_lists_are_refused(channels: list[int]) -> None:
    with pytest.raises(UserError):
        space(16, channel_cap=16, num_resolutions=1).from_channels(channels)
