"""How a generator is called: latents, mixing, truncation, noise, threads, precision, initial values, bad input."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from anycost.architecture import ArchitectureSpace
from anycost.benchmarks.plain_generator import PlainGenerator
from anycost.errors import UserError
from anycost.networks.generator import Generator

SPACE = ArchitectureSpace(32, 0.02, 12, num_resolutions=2)
STYLES = 8


@pytest.fixture
def generator() -> Generator:
    network = Generator(SPACE, latent_dim=8, mapping_layers=2).double()
    with torch.no_grad():
        for layer in network.layers:
            layer.noise_strength.fill_(0.5)
    return network


@pytest.fixture
def z() -> Tensor:
    return torch.randn(3, 8, dtype=torch.float64)


def test_call_without_an_architecture_is_the_full_one(generator: Generator, z: Tensor) -> None:
    assert torch.equal(generator(z), generator(z, SPACE.full()))


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
def test_every_resolution_is_honoured(generator: Generator, z: Tensor, resolution: int) -> None:
    """Also 4 px, where the official code runs the whole network."""
    assert generator(z, SPACE.full(resolution)).shape == (3, 3, resolution, resolution)
    assert max(generator.pyramid(z, SPACE.full(resolution))) == resolution


def test_forms_of_latents_agree(generator: Generator, z: Tensor) -> None:
    expected, w = generator(z), generator.mapping(z)
    for latents, kind in ((z[:, None], "z"), (w, "w"), (w[:, None], "w"), (w[:, None].repeat(1, STYLES, 1), "w")):
        torch.testing.assert_close(generator(latents, latents_in=kind), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cutoff", range(1, STYLES))
def test_layers_before_the_cutoff_take_the_first_code(generator: Generator, z: Tensor, cutoff: int) -> None:
    both = torch.stack([z, z.flip(0)], dim=1)
    w = generator.mapping(both)
    layers = torch.cat([w[:, :1].repeat(1, cutoff, 1), w[:, 1:].repeat(1, STYLES - cutoff, 1)], dim=1)
    assert torch.equal(generator(both, mixing_cutoff=cutoff), generator(layers, latents_in="w"))


def test_cutoff_is_drawn_from_all_places(generator: Generator, z: Tensor) -> None:
    w = generator.mapping(torch.stack([z, -z], dim=1))
    drawn = {int((generator.styles(w, "w") == w[:, :1]).all(dim=2).sum(dim=1)[0]) for _ in range(200)}
    assert drawn == set(range(1, STYLES))


def test_truncation_pulls_every_layer_to_the_mean(generator: Generator, z: Tensor) -> None:
    mean, w = torch.randn(8, dtype=torch.float64), generator.mapping(z)
    assert torch.equal(generator(z, truncation=1.0, truncation_mean=mean), generator(z))
    at_mean = generator(mean.expand(3, -1), latents_in="w")
    torch.testing.assert_close(generator(z, truncation=0.0, truncation_mean=mean), at_mean)
    half = generator((w + mean) / 2, latents_in="w")
    torch.testing.assert_close(generator(z, truncation=0.5, truncation_mean=mean), half)
    torch.testing.assert_close(generator(w, latents_in="w", truncation=0.5, truncation_mean=mean), half)


def test_truncation_takes_the_mean_that_came_with_the_weights(generator: Generator, z: Tensor) -> None:
    with pytest.raises(UserError, match=r"truncation_mean=generator\.truncation_center\(\)"):
        generator(z, truncation=0.5)
    own = copy.deepcopy(generator)
    own.truncation_mean = torch.randn(8, dtype=torch.float64)
    given = generator(z, truncation=0.5, truncation_mean=own.truncation_mean)
    assert torch.equal(own(z, truncation=0.5), given)
    zero = torch.zeros(8, dtype=torch.float64)
    assert torch.equal(own(z, truncation=0.5, truncation_mean=zero), generator(z, truncation=0.5, truncation_mean=zero))


@torch.no_grad()
def test_mean_style_is_the_mean_of_many(generator: Generator) -> None:
    many = generator.mapping(torch.randn(200_000, 8, dtype=torch.float64)).mean(0)
    torch.testing.assert_close(generator.mean_style(50_000), many, rtol=0, atol=0.02 * float(many.norm()) + 0.01)
    assert torch.equal(generator.mean_style(100), generator.mean_style(100))


def test_fixed_noise_repeats_and_is_one_for_the_batch(generator: Generator, z: Tensor) -> None:
    image = generator(z[:1].repeat(2, 1))
    assert torch.equal(image[0], image[1])
    assert torch.equal(image[:1], generator(z[:1].repeat(2, 1))[:1])


def test_random_noise_is_per_sample(generator: Generator, z: Tensor) -> None:
    plain = PlainGenerator(32, 0.02, 12, 8, 2).double()
    plain.load_from(generator)
    for render in (generator, lambda latents, noise: plain(latents, noise=noise)[32]):
        image = render(z[:1].repeat(2, 1), noise="random")
        assert not torch.allclose(image[0], image[1])
        assert not torch.allclose(image, render(z[:1].repeat(2, 1), noise="random"))


def test_given_noise_is_used(generator: Generator, z: Tensor) -> None:
    buffers = [layer.noise for layer in generator.layers]
    assert torch.equal(generator(z, noise=buffers), generator(z))
    per_sample = [torch.randn(3, *noise.shape[1:], dtype=torch.float64) for noise in buffers]
    together = generator(z, noise=per_sample)
    for i in range(3):
        alone = generator(z[i:i + 1], noise=[noise[i:i + 1] for noise in per_sample])
        torch.testing.assert_close(together[i:i + 1], alone, rtol=1e-10, atol=1e-12)


def test_given_noise_may_end_with_the_layers_that_run(generator: Generator, z: Tensor) -> None:
    low = SPACE.full(8)
    buffers = [layer.noise for layer in generator.layers]
    assert torch.equal(generator(z, low, noise=buffers[:3]), generator(z, low))
    with pytest.raises(UserError):
        generator(z, low, noise=buffers[:2])


@pytest.mark.parametrize("options", [
    {"latents_in": "w+"}, {"noise": "loud"}, {"truncation": 0.5}, {"noise": []},
])
def test_bad_options_are_refused(generator: Generator, z: Tensor, options: dict[str, object]) -> None:
    with pytest.raises(UserError):
        generator(z, **options)


@pytest.mark.parametrize("cutoff", [0, STYLES, -1])
def test_bad_cutoff_is_refused(generator: Generator, z: Tensor, cutoff: int) -> None:
    with pytest.raises(UserError):
        generator(torch.stack([z, z], dim=1), mixing_cutoff=cutoff)


@pytest.mark.parametrize("shape", [(3, 7), (3, 3, 8), (3, 9, 8), (8,), (3, 1, 1, 8)])
def test_bad_latents_are_refused(generator: Generator, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError):
        generator(torch.randn(shape, dtype=torch.float64))


def test_architecture_of_another_model_is_refused(generator: Generator, z: Tensor) -> None:
    for resolution in (16, 64):
        with pytest.raises(UserError):
            generator(z, ArchitectureSpace(resolution, 0.02, 12, num_resolutions=2).full())
    with pytest.raises(UserError):
        generator(z, ArchitectureSpace(32, 0.02, 16, num_resolutions=2).full())


@pytest.mark.parametrize("resolutions", [(64,), (5,), (32,)])
def test_resolution_that_is_not_rendered_is_refused(generator: Generator, z: Tensor, resolutions: tuple[int]) -> None:
    with pytest.raises(UserError):
        generator.pyramid(z, SPACE.full(16), resolutions=resolutions)


def test_two_architectures_in_two_threads(generator: Generator, z: Tensor) -> None:
    choices = [SPACE.full(), SPACE.uniform(0.5), SPACE.uniform(0.25, 16), SPACE.full(8)] * 8
    alone = [generator(z, architecture) for architecture in choices]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda architecture: generator(z, architecture), choices))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_call_leaves_no_trace(generator: Generator, z: Tensor) -> None:
    before, state = generator(z), {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    generator(z, SPACE.uniform(0.25, 8))
    with pytest.raises(UserError):
        generator(z, SPACE.uniform(0.5), noise=[])
    assert torch.equal(generator(z), before)
    assert all(torch.equal(tensor, state[name]) for name, tensor in generator.state_dict().items())


def test_bf16_computes_close_to_fp32_and_returns_fp32(generator: Generator, z: Tensor) -> None:
    single = generator.float()
    expected = single(z.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = single(z.float())
    assert image.dtype == torch.float32
    assert not torch.equal(image, expected), "autocast must reach the convolutions"
    assert (image - expected).norm() < 0.03 * expected.norm()


@torch.no_grad()
def test_initial_values() -> None:
    network = Generator(ArchitectureSpace(16, 0.05, 64, num_resolutions=1), latent_dim=128, mapping_layers=2)
    assert network.mapping.layers[0].weight.std() == pytest.approx(100, rel=0.05)
    assert network.mapping.layers[0].bias.eq(0).all()
    assert network.constant.std() == pytest.approx(1, rel=0.15)
    for layer in (*network.layers, *network.to_rgb):
        assert layer.weight.std() == pytest.approx(1, rel=0.25)
        assert layer.modulation.weight.std() == pytest.approx(1, rel=0.1)
        assert layer.modulation.bias.eq(1).all()
        assert layer.bias.eq(0).all()
    assert all(layer.noise_strength == 0 for layer in network.layers)
    assert network.layers[-1].noise.std() == pytest.approx(1, rel=0.2)


def test_mapping_ignores_the_length_of_z(generator: Generator, z: Tensor) -> None:
    torch.testing.assert_close(generator.mapping(z * 7), generator.mapping(z), rtol=1e-6, atol=1e-8)
    alone = Generator(SPACE, latent_dim=8, mapping_layers=0).double().mapping(z)
    assert alone.square().mean(1).tolist() == pytest.approx([1.0] * 3)
    assert generator.mapping(torch.zeros(1, 8, dtype=torch.float64)).eq(0).all()


def test_text_is_no_architecture(generator: Generator) -> None:
    with pytest.raises(UserError, match=r"'0\.5' is no Architecture.*space\.parse"):
        generator(torch.zeros(1, generator.latent_dim), "0.5")
