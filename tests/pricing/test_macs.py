"""Prices agree with every published integer of the paper's models, to the unit."""

import pytest

from anycost.architecture import ArchitectureSpace
from anycost.pricing.macs import macs, macs_paper, parameters
from anycost.pricing.price_list import PriceList

CONFIG_F = ArchitectureSpace(resolution=1024, multiplier=2)
CONFIG_E = ArchitectureSpace(resolution=1024, multiplier=1)

F_TABLE = [  # resolution, ratio, convolution multiply-adds, with linear layers, torchprofile
    (1024, 1.0, 74260144128, 74266894336, 144365170309),
    (1024, 0.75, 44012396544, 44019146752, 86313329269),
    (1024, 0.5, 22220365824, 22227116032, 44037703141),
    (1024, 0.25, 6467346432, 6474096640, 13180474069),
    (512, 1.0, 59663966208, 59670650880, 114566504767),
    (512, 0.75, 35783172096, 35789856768, 69390959263),
    (512, 0.5, 18546155520, 18552840192, 36363018751),
    (512, 0.25, 5536210944, 5542895616, 11124865375),
    (256, 1.0, 45118119936, 45124673536, 85130735289),
    (256, 0.75, 27591696384, 27598249984, 52760053113),
    (256, 0.5, 14897111040, 14903664640, 28903609401),
    (256, 0.25, 4617658368, 4624211968, 9203586297),
    (128, 1.0, 30597439488, 30597439488 + 6291456, 55806339507),
    (128, 0.75, 19419095040, 19419095040 + 6291456, 36230042931),
    (128, 0.5, 11260649472, 11260649472 + 6291456, 21525029043),
    (128, 0.25, 3705397248, 3705397248 + 6291456, 7333479987),
]


@pytest.mark.parametrize(("resolution", "ratio", "convolutions", "true", "paper"), F_TABLE)
def test_config_f(resolution: int, ratio: float, convolutions: int, true: int, paper: int) -> None:
    architecture = CONFIG_F.uniform(ratio, resolution)
    assert macs(CONFIG_F, architecture) == true
    assert macs_paper(CONFIG_F, architecture) == paper
    linear = 8 * 512**2 + 512 * _modulated_inputs(CONFIG_F, resolution)
    assert true - linear == convolutions


def _modulated_inputs(space: ArchitectureSpace, resolution: int) -> int:
    """Outputs of the executed modulations: each point feeds the next, odd ones also an RGB."""
    full, points = space.full_channels, ArchitectureSpace(resolution=resolution).num_points
    return sum(full[: points - 1]) + sum(full[1:points:2])


@pytest.mark.parametrize("resolution", [128, 256, 512])
def test_a_smaller_model_costs_what_the_large_one_costs_when_it_stops_early(resolution: int) -> None:
    small = ArchitectureSpace(resolution=resolution, multiplier=2)
    assert PriceList(small).price(small.full()) == PriceList(CONFIG_F).price(CONFIG_F.full(resolution))


@pytest.mark.parametrize(
    ("resolution", "ratio", "true"),
    [
        (1024, 1.0, 22220365824 + 5996544),
        (1024, 0.75, 13060399104 + 5996544),
        (1024, 0.5, 6467346432 + 5996544),
        (1024, 0.25, 1837031424 + 5996544),
        (256, 1.0, 14897111040 + 5898240),
        (256, 0.75, 8926912512 + 5898240),
        (256, 0.5, 4617658368 + 5898240),
        (256, 0.25, 1365172224 + 5898240),
    ],
)
def test_config_e(resolution: int, ratio: float, true: int) -> None:
    assert macs(CONFIG_E, CONFIG_E.uniform(ratio, resolution)) == true


@pytest.mark.parametrize(
    ("multiplier", "resolution", "count"),
    [(2, 1024, 30370060), (2, 512, 30276583), (2, 256, 30034338),
     (1, 1024, 24900764), (1, 512, 24860935), (1, 256, 24767458)],
)  # fmt: skip
def test_parameters_of_full_generators(multiplier: float, resolution: int, count: int) -> None:
    space = ArchitectureSpace(resolution=resolution, multiplier=multiplier)
    assert parameters(space, space.full()) == count


@pytest.mark.parametrize(("ratio", "count"), [(0.75, 27341076), (0.5, 24900764), (0.25, 19409828)])
def test_parameters_of_extracted_generators(ratio: float, count: int) -> None:
    assert parameters(CONFIG_F, CONFIG_F.uniform(ratio)) == count


def test_channels_above_the_resolution_cost_nothing() -> None:
    channels = [512] * 7 + [384, 256, 256, 64, 64, 32, 64]
    prices = {
        PriceList(CONFIG_F).price(CONFIG_F.from_channels([*channels, *tail], 256))
        for tail in ([64, 64, 32, 32], [4] * 4)
    }
    assert len(prices) == 1


@pytest.mark.parametrize(("latent_dim", "mapping_layers"), [(512, 2), (64, 8), (1, 0)])
def test_the_mapping_network_is_counted(latent_dim: int, mapping_layers: int) -> None:
    space = ArchitectureSpace(resolution=16, multiplier=0.01, num_resolutions=1)
    with_layer = PriceList(space, latent_dim, mapping_layers + 1).price(space.full())
    without = PriceList(space, latent_dim, mapping_layers).price(space.full())
    assert with_layer.macs - without.macs == latent_dim**2
    assert with_layer.macs_paper - without.macs_paper == 2 * latent_dim**2 + 2 * latent_dim
    assert with_layer.parameters - without.parameters == latent_dim**2 + latent_dim
