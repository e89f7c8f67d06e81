"""Feature extractors behind the distances between sets of images."""

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from anycost.errors import UserError
from anycost.networks.published import INCEPTION
from anycost.sampling import to_uint8

if TYPE_CHECKING:
    from anycost.networks.embedded import EmbeddedNetwork

NAMES = ("inception", "embedded")


class FeatureExtractor(Protocol):
    """What turns images into feature vectors. `identity` names the exact weights: part of every cache key."""

    name: str
    identity: str
    dimension: int

    def __call__(self, images: Tensor) -> Tensor:
        """Images `[B, 3, r, r]` in [-1, 1] -> float32 `[B, dimension]`, without gradients."""


def feature_extractor(name: str, device: torch.device | str = "cpu") -> FeatureExtractor:
    """The extractor called `inception` or `embedded`.

    Raises `UserError` when Inception's weights can neither be found nor downloaded.
    """
    if name == "inception":
        return InceptionFeatures(device)
    if name == "embedded":
        from anycost.networks.embedded import EmbeddedNetwork

        return PooledFeatures(EmbeddedNetwork.shipped().to(device))
    raise UserError(f"metrics.features={name} is not one of {', '.join(NAMES)}")


class InceptionFeatures:
    """The 2048 pooled features of FID's Inception v3, as torch-fidelity computes them (TensorFlow's resize to 299)."""

    name = "inception"
    identity = f"inception-{INCEPTION.sha256_prefix}"
    dimension = 2048

    def __init__(self, device: torch.device | str = "cpu") -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        self.network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(INCEPTION.find())
        ).to(device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        device = next(self.network.parameters()).device
        (features,) = self.network(to_uint8(images).to(device))
        return features.float()


class PooledFeatures:
    """The pooled features of the embedded network: they rank runs on one data set and nothing else."""

    name = "embedded"

    def __init__(self, network: "EmbeddedNetwork") -> None:
        self.network = network.eval().requires_grad_(False)
        self.identity = f"embedded-{network.identity}"
        self.dimension = network.feature_dimension

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        device = next(self.network.parameters()).device
        return self.network.pooled(images.float().clamp(-1, 1).to(device)).float()
