"""Losses against numbers worked out by hand and against naive float64 definitions."""

import math

import pytest
import torch
from torch import Tensor, nn

from anycost.losses import discriminator_loss, generator_loss, path_lengths, r1_penalty


def test_losses_at_zero_logits() -> None:
    zero = torch.zeros(4, dtype=torch.float64)
    assert discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2), abs=1e-12)
    assert generator_loss(zero).item() == pytest.approx(math.log(2), abs=1e-12)


def test_losses_are_the_negative_log_likelihoods() -> None:
    real, fake = torch.randn(2, 8, dtype=torch.float64)
    expected = -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean())
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), -torch.sigmoid(fake).log().mean())


def test_losses_survive_extreme_logits() -> None:
    far = torch.tensor([1e4, -1e4])
    assert discriminator_loss(far, far).item() == pytest.approx(1e4)
    assert generator_loss(far).item() == pytest.approx(5e3)


def test_r1_of_a_sum_of_squares() -> None:
    """[A §15 a]: D(x) = sum x^2 on ones of 2 x 3 x 2 x 2 gives 48."""
    images = torch.ones(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert r1_penalty(images, images.square().sum((1, 2, 3))).item() == pytest.approx(48)


def network(pixels: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 5), nn.Tanh(), nn.Linear(5, 1)).double()


def test_r1_against_finite_differences() -> None:
    images = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    judge, step = network(12), 1e-6
    total = 0.0
    for b in range(2):
        for k in range(12):
            shift = torch.zeros(12, dtype=torch.float64)
            shift[k] = step
            shift = shift.view(1, 3, 2, 2)
            slope = (judge(images[b:b + 1] + shift) - judge(images[b:b + 1] - shift)).item() / (2 * step)
            total += slope**2
    images.requires_grad_()
    penalty = r1_penalty(images, judge(images)[:, 0])
    assert penalty.item() == pytest.approx(total / 2, rel=1e-7)


def test_r1_can_be_minimised() -> None:
    """The penalty is differentiable in the weights: its own gradient, checked by gradcheck's finite differences."""
    images = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)

    def penalty(weight: Tensor) -> Tensor:
        return r1_penalty(images, torch.tanh(images.flatten(1) @ weight).sum(1))

    assert torch.autograd.gradcheck(penalty, torch.randn(12, 3, dtype=torch.float64, requires_grad=True))


def test_path_lengths_against_the_jacobian() -> None:
    """|J^T y| with y / sqrt(h w): summed over the latent, averaged over the layers, one sample at a time."""
    w_plus = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(3, 3, 2, 8, dtype=torch.float64)
    mixing = torch.randn(20, 48, dtype=torch.float64)

    def render(w: Tensor) -> Tensor:
        return torch.sin(w.flatten(1) @ mixing).view(-1, 3, 2, 8)

    found = path_lengths(render(w_plus), w_plus, direction)
    assert found.shape == (3,)
    for b in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda w: render(w[None]).flatten(), w_plus[b].detach())
        pull = torch.einsum("p,pld->ld", direction[b].flatten() / math.sqrt(16), jacobian)
        expected = math.sqrt(sum(float(row.square().sum()) for row in pull) / 4)
        assert found[b].item() == pytest.approx(expected, rel=1e-10)


def test_path_lengths_can_be_minimised() -> None:
    w_plus = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(2, 3, 2, 2, dtype=torch.float64)

    def lengths(weight: Tensor) -> Tensor:
        return path_lengths(torch.sin(w_plus.flatten(1) @ weight).view(2, 3, 2, 2), w_plus, direction)

    assert torch.autograd.gradcheck(lengths, torch.randn(6, 12, dtype=torch.float64, requires_grad=True))
