"""Perceptual distances between images: LPIPS-VGG, and the one of the embedded network that needs no download."""

import warnings
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anycost.errors import UserError
from anycost.networks.published import VGG16

if TYPE_CHECKING:
    from anycost.networks.embedded import EmbeddedNetwork

NAMES = ("lpips", "embedded")
_LARGEST, _SMALLEST = 256, 16  # LPIPS is used at 256 px at most; below 16 px VGG's last layers have no pixel


def perceptual_distance(name: str, align_corners: bool = False) -> "PerceptualDistance":
    """The distance called `lpips` or `embedded`; frozen. `align_corners` resizes as the official code does.

    Raises `UserError` when LPIPS's backbone can neither be found nor downloaded.
    """
    if name == "lpips":
        network: nn.Module = _lpips_vgg()
    elif name == "embedded":
        from anycost.networks.embedded import EmbeddedNetwork

        network = FeatureDistance(EmbeddedNetwork.shipped())
    else:
        raise UserError(f"perceptual={name} is not one of {', '.join(NAMES)}")
    return PerceptualDistance(network, align_corners)


class PerceptualDistance(nn.Module):
    """`distance(x, y) -> [B]` for images `[B, 3, r, r]` in [-1, 1]; differentiable, its network is frozen.

    What lies outside the range is clamped. Pictures above 256 px are resized to 256, antialiased, or with aligned
    corners; those below 16 px are enlarged to 16.
    """

    def __init__(self, network: nn.Module, align_corners: bool = False) -> None:
        super().__init__()
        self.network: Any = network.requires_grad_(False).eval()
        self.align_corners = align_corners

    def train(self, mode: bool = True) -> "PerceptualDistance":
        """Stays in evaluation mode inside any training module."""
        return super().train(False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.network(self._prepared(x), self._prepared(y)).flatten()

    def features(self, images: Tensor) -> list[Tensor]:
        """What `between` compares, `[B, C, h, w]` per layer: kept where many images face the same ones."""
        return self.network.unit_features(self._prepared(images))

    def between(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """`[B]`: of two lists of `features`, what `forward` says of their images."""
        return self.network.between(first, second)

    def _prepared(self, images: Tensor) -> Tensor:
        images = images.clamp(-1, 1)
        side = images.shape[-1]
        if side > _LARGEST and self.align_corners:
            return F.interpolate(images, size=(_LARGEST, _LARGEST), mode="bilinear", align_corners=True)
        if side > _LARGEST or side < _SMALLEST:
            size = min(max(side, _SMALLEST), _LARGEST)
            return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
        return images


class FeatureDistance(nn.Module):
    """LPIPS's form without learned weights: 1 - cosine of the feature vectors, a half of their squared difference.

    `network.features(x)` gives `[B, C, h, w]` tensors; the result `[B]` is the mean over places and layers. LPIPS sums
    over layers, but its learned weights keep that sum below 1, which is the scale that losses are tuned for.
    """

    def __init__(self, network: "EmbeddedNetwork") -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.between(self.unit_features(x), self.unit_features(y))

    def unit_features(self, images: Tensor) -> list[Tensor]:
        """Features of every layer, of length 1 at every place."""
        return [_unit(layer) for layer in self.network.features(images)]

    def between(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """`[B]` of two lists of `unit_features`."""
        layers = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(first, second, strict=True)]
        return torch.stack(layers).mean(0) / 2


def _unit(features: Tensor) -> Tensor:
    # The epsilon under the root keeps the gradient finite where all features are zero.
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    return features * torch.rsqrt(features.square().sum(1, keepdim=True) + 1e-10)


def _lpips_vgg() -> nn.Module:
    VGG16.find()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips calls torchvision by its old arguments
        import lpips

        return LpipsDistance(lpips.LPIPS(net="vgg", verbose=False))


class LpipsDistance(nn.Module):
    """The published LPIPS network, its two halves apart: features, then the weighted distance between them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.network(x, y)

    def unit_features(self, images: Tensor) -> list[Tensor]:
        """Features of every layer, of length 1 at every place (with LPIPS's own epsilon)."""
        from lpips import normalize_tensor

        return [normalize_tensor(layer) for layer in self.network.net(self.network.scaling_layer(images))]

    def between(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """`[B]` of two lists of `unit_features`: the learned weights of each layer, summed."""
        layers = zip(self.network.lins, first, second, strict=True)
        return torch.stack([lin((a - b).square()).mean((1, 2, 3)) for lin, a, b in layers]).sum(0)
