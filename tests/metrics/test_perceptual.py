"""Perceptual distances: the real LPIPS loading code, the embedded form, clamping and resizing."""

import sys
import types
from collections.abc import Callable

import lpips
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anycost.errors import UserError
from anycost.networks.perceptual import FeatureDistance, PerceptualDistance, perceptual_distance
from anycost.networks.published import VGG16


def images(side: int, seed: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision.*")
def test_lpips_loads_the_backbone_from_the_hub_cache(place: Callable, vgg_state: dict) -> None:
    place("anycost.networks.perceptual.VGG16", VGG16, vgg_state)
    distance = perceptual_distance("lpips")
    loaded = distance.network.network.net.slice1[0].weight
    torch.testing.assert_close(loaded, vgg_state["features.0.weight"])
    x, y = images(32, 1), images(32, 2)
    reference = lpips.LPIPS(net="vgg", verbose=False)
    torch.testing.assert_close(distance(x, y), reference(x, y).flatten())
    assert distance(x, y).shape == (2,)
    torch.testing.assert_close(distance(x, x), torch.zeros(2))
    assert not any(parameter.requires_grad for parameter in distance.parameters())


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="perceptual=alex"):
        perceptual_distance("alex")


def test_the_embedded_distance_takes_the_shipped_network(monkeypatch: pytest.MonkeyPatch, stand_in: nn.Module) -> None:
    module = types.ModuleType("anycost.networks.embedded")
    module.EmbeddedNetwork = types.SimpleNamespace(shipped=lambda: stand_in)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "anycost.networks.embedded", module)
    distance = perceptual_distance("embedded")
    x, y = images(32, 1), images(32, 2)
    layers = [(F.normalize(first, dim=1) - F.normalize(second, dim=1)).square().sum(1).mean((1, 2)) / 2
              for first, second in zip(stand_in.features(x), stand_in.features(y), strict=True)]
    torch.testing.assert_close(distance(x, y), torch.stack(layers).mean(0))
    torch.testing.assert_close(distance(x, x), torch.zeros(2))


def test_images_are_clamped_and_gradients_reach_only_what_lies_inside(stand_in: nn.Module) -> None:
    distance = PerceptualDistance(FeatureDistance(stand_in))
    x, y = images(32, 1) * 1.5, images(32, 2)
    torch.testing.assert_close(distance(x, y), distance(x.clamp(-1, 1), y))
    x.requires_grad_()
    distance(x, y).sum().backward()
    assert x.grad is not None
    outside = x.detach().abs() > 1
    assert (x.grad[outside] == 0).all()
    assert (x.grad[~outside] != 0).any()


def test_the_gradient_is_finite_where_all_features_are_zero(stand_in: nn.Module) -> None:
    nn.init.constant_(stand_in.first.bias, -100.0)
    x = images(32, 1).requires_grad_()
    PerceptualDistance(FeatureDistance(stand_in))(x, images(32, 2)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(("side", "align_corners", "seen"), [(16, False, 16), (8, False, 16), (256, True, 256),
                                                            (512, False, 256), (512, True, 256)])  # fmt: skip
def test_sizes_that_the_network_sees(side: int, align_corners: bool, seen: int) -> None:
    class Recorder(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            self.seen = x
            return (x - y).square().mean((1, 2, 3))

    recorder = Recorder()
    x = images(side, 1, count=1)
    PerceptualDistance(recorder, align_corners)(x, x)
    assert recorder.seen.shape == (1, 3, seen, seen)
    if align_corners and side > seen:
        torch.testing.assert_close(recorder.seen[..., 0, 0], x[..., 0, 0])
        torch.testing.assert_close(recorder.seen[..., -1, -1], x[..., -1, -1])


def test_the_frozen_network_never_trains(stand_in: nn.Module) -> None:
    parent = nn.Sequential(PerceptualDistance(FeatureDistance(stand_in)))
    parent.train()
    assert not stand_in.training


def test_features_kept_give_the_same_distance(stand_in: nn.Module) -> None:
    distance = PerceptualDistance(FeatureDistance(stand_in))
    x, y = images(32, 1) * 1.5, images(32, 2)
    torch.testing.assert_close(distance.between(distance.features(x), distance.features(y)), distance(x, y))


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision.*")
def test_features_of_lpips_kept_give_the_same_distance(place: Callable, vgg_state: dict) -> None:
    place("anycost.networks.perceptual.VGG16", VGG16, vgg_state)
    distance = perceptual_distance("lpips")
    x, y = images(300, 1), images(300, 2)
    kept = distance.between(distance.features(x), distance.features(y))
    torch.testing.assert_close(kept, distance(x, y))
    assert (kept > 0).all()
