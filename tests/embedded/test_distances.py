"""What the shipped network's distances promise, inside and outside faces."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from anycost.metrics.features import PooledFeatures
from anycost.metrics.states import Moments
from anycost.metrics.statistics import frechet_distance, kernel_distance
from anycost.networks.embedded import EmbeddedNetwork
from anycost.networks.perceptual import PerceptualDistance, perceptual_distance

Content = Callable[[int, int], Tensor]


@pytest.fixture(scope="module")
def distance() -> PerceptualDistance:
    return perceptual_distance("embedded")


def blurred(images: Tensor, sigma: float) -> Tensor:
    reach = torch.arange(-6, 7).float()
    row = torch.softmax(-reach.square() / (2 * sigma**2), 0)
    kernel = (row[:, None] * row).expand(3, 1, 13, 13)
    return F.conv2d(F.pad(images, (6, 6, 6, 6), mode="replicate"), kernel, groups=3)


def noisy(images: Tensor, strength: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return (images + strength * noise).clamp(-1, 1)


def shifted(images: Tensor, pixels: float) -> Tensor:
    whole = int(pixels)
    return F.pad(images, (whole, 0, 0, 0), mode="replicate")[..., : images.shape[-1]]


def washed_out(images: Tensor, amount: float) -> Tensor:
    return images * (1 - amount)


STRENGTHS: dict[Callable[[Tensor, float], Tensor], Iterable[float]] = {
    blurred: (0.4, 0.6, 0.9, 1.4, 2.0),
    noisy: (0.03, 0.06, 0.12, 0.25, 0.5),
    shifted: (1, 2, 3),
    washed_out: (0.1, 0.3, 0.5, 0.8),
}


@pytest.mark.parametrize("side", [16, 32, 64])
@pytest.mark.parametrize("damage", STRENGTHS, ids=lambda damage: damage.__name__)
def test_more_damage_is_farther(
    distance: PerceptualDistance, content: Content, damage: Callable[[Tensor, float], Tensor], side: int
) -> None:
    images = content(16, side)
    values = [distance(images, damage(images, strength)).mean() for strength in STRENGTHS[damage]]
    assert values[0] > 0
    assert values == sorted(values)


def test_equal_pictures_have_distance_zero(distance: PerceptualDistance, content: Content) -> None:
    images = content(4, 32)
    assert torch.equal(distance(images, images.clone()), torch.zeros(4))


def test_the_distance_is_symmetric(distance: PerceptualDistance, contents: dict[str, Content]) -> None:
    x, y = contents["faces"](4, 32), contents["leaves"](4, 32)
    torch.testing.assert_close(distance(x, y), distance(y, x))


def test_a_person_is_nearer_to_itself_blurred_than_to_another(
    distance: PerceptualDistance, contents: dict[str, Content]
) -> None:
    images = contents["faces"](16, 32)
    assert (distance(images, blurred(images, 0.6)) < distance(images, images.roll(1, 0))).all()


@pytest.mark.parametrize("side", [8, 16, 32])
def test_following_the_gradient_repairs_a_picture(
    distance: PerceptualDistance, content: Content, side: int
) -> None:
    target = content(4, side)
    picture = blurred(target, 0.8).requires_grad_()
    first, far = distance(picture, target).mean(), F.mse_loss(picture, target)
    adam = torch.optim.Adam([picture], lr=0.01)
    for _ in range(40):
        adam.zero_grad()
        distance(picture, target).mean().backward()
        adam.step()
    assert distance(picture, target).mean() < 0.4 * first
    assert F.mse_loss(picture, target) < far


def test_the_gradient_is_that_of_the_distance() -> None:
    exact = perceptual_distance("embedded").double()
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(1, 3, 16, 16, generator=generator, dtype=torch.float64) * 1.8 - 0.9 for _ in range(2))
    assert torch.autograd.gradcheck(lambda some: exact(some, y), x.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("kind", ["frechet", "kernel"])
def test_sets_of_pictures(network: EmbeddedNetwork, contents: dict[str, Content], kind: str) -> None:
    extractor = PooledFeatures(network)

    def apart(first: Tensor, second: Tensor) -> float:
        a, b = (extractor(x).numpy() for x in (first, second))
        return frechet_distance(Moments.of(a), Moments.of(b)) if kind == "frechet" else kernel_distance(a, b)

    faces = contents["faces"](1200, 32)
    half, other = faces[:600], faces[600:]
    same = abs(apart(half, other))
    values = [apart(half, blurred(other, sigma)) for sigma in (0.8, 1.2, 2.0)]
    assert 2 * same < values[0]
    assert values == sorted(values)
    assert apart(half, contents["textures"](600, 32)) > 5 * values[0]


def test_pooled_features_are_finite_for_extreme_pictures(network: EmbeddedNetwork) -> None:
    extremes = torch.stack([torch.full((3, 32, 32), value) for value in (-1.0, 0.0, 1.0)])
    assert np.isfinite(PooledFeatures(network)(extremes).numpy()).all()
