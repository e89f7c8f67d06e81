"""A seed is one person, whatever the architecture, the batch size and the company it is drawn in."""

import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.networks.generator import Generator
from anycost.sampling import from_uint8, sample, seeded_noise, to_uint8


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    space = ArchitectureSpace(resolution=16, multiplier=0.01, channel_cap=16, num_resolutions=2)
    generator = Generator(space, latent_dim=8, mapping_layers=2).double()
    for layer in generator.layers:
        torch.nn.init.constant_(layer.noise_strength, 0.3)
    return generator


def images(generator: Generator, seeds: list[int], batch_size: int, **options: object) -> torch.Tensor:
    return torch.cat([record.images for record in sample(generator, None, seeds, batch_size, **options)])


@pytest.mark.parametrize("options", [{}, {"noise": "const"}, {"truncation": 0.5}])
def test_a_seed_gives_the_same_image_in_any_batch(generator: Generator, options: dict) -> None:
    whole = images(generator, [0, 1, 2, 3, 4], 5, **options)
    assert whole.shape == (5, 3, 16, 16)
    torch.testing.assert_close(images(generator, [0, 1, 2, 3, 4], 2, **options), whole)
    torch.testing.assert_close(images(generator, [3], 1, **options), whole[3:4])
    assert not torch.allclose(whole[0], whole[1])


def test_latents_and_noise_are_shared_by_all_architectures(generator: Generator) -> None:
    """An early exit at 8 px is the 8 px picture of the full generator, noise included."""
    space = generator.space
    early = next(sample(generator, space.full(8), [7, 8], 2))
    latents = next(sample(generator, space.uniform(0.5), [7, 8], 2)).latents
    torch.testing.assert_close(early.latents, latents)
    assert early.images.shape == (2, 3, 8, 8)
    wider = next(sample(generator, space.full(16), [7, 8], 2))
    torch.testing.assert_close(wider.latents, latents)
    with torch.no_grad():
        full = generator.pyramid(latents, noise=seeded_noise(generator, [7, 8], 16))
    torch.testing.assert_close(early.images, full[8])
    fixed = next(sample(generator, space.full(8), [7, 8], 2, noise="const")).images
    assert not torch.allclose(fixed, early.images)


def test_records_say_where_they_come_from(generator: Generator) -> None:
    architecture = generator.space.uniform(0.5, 8)
    records = list(sample(generator, architecture, range(10, 15), 2))
    assert [record.seeds for record in records] == [(10, 11), (12, 13), (14,)]
    assert [record.index for record in records] == [0, 2, 4]
    assert all(record.architecture == architecture for record in records)


def test_truncation_to_zero_shows_one_face(generator: Generator) -> None:
    faces = images(generator, [0, 1, 2], 3, truncation=0.0, noise="const")
    torch.testing.assert_close(faces[0], faces[1])


def test_uint8_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(to_uint8(from_uint8(every)), every)
    assert to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]
