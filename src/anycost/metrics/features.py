"""Feature extractors behind the distances between sets of images, and the precision they run in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anycost.errors import UserError
from anycost.metrics.protocols import PYTORCH_299, TENSORFLOW_299
from anycost.networks.published import INCEPTION, VGG16
from anycost.sampling import to_uint8

if TYPE_CHECKING:
    from anycost.networks.embedded import EmbeddedNetwork

NAMES = ("inception", "vgg16", "embedded")


class FeatureExtractor(Protocol):
    """What turns images into feature vectors. `identity` names the exact weights: part of every cache key."""

    name: str
    identity: str
    dimension: int

    def __call__(self, images: Tensor) -> Tensor:
        """Images `[B, 3, r, r]` in [-1, 1] -> float32 `[B, dimension]`, without gradients."""


@contextmanager
def full_precision(device_type: str = "cuda") -> Iterator[None]:
    """Float32 that is float32: no autocast, and no TF32, which keeps 10 bits of the mantissa on a GPU."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def feature_extractor(name: str, device: torch.device | str = "cpu", resize: str = TENSORFLOW_299) -> FeatureExtractor:
    """The extractor called `inception`, `vgg16` or `embedded`; `resize` is a protocol's, for Inception.

    Raises `UserError` when published weights can neither be found nor downloaded.
    """
    if name == "inception":
        return InceptionFeatures(device, resize)
    if name == "vgg16":
        return VggFeatures(device)
    if name == "embedded":
        from anycost.networks.embedded import EmbeddedNetwork

        return PooledFeatures(EmbeddedNetwork.shipped().to(device))
    raise UserError(f"metrics.features={name} is not one of {', '.join(NAMES)}")


class InceptionFeatures:
    """The 2048 pooled features of FID's Inception v3 (TensorFlow 2015, as torch-fidelity ported it).

    Resized as TensorFlow 1 did from pixels as saved, or as PyTorch does from floats, as the official Anycost code.
    """

    name = "inception"
    dimension = 2048
    classes = 1008

    def __init__(
        self, device: torch.device | str = "cpu", resize: str = TENSORFLOW_299, network: nn.Module | None = None
    ) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        network = network or FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(INCEPTION.find())
        )
        self.network: Any = network.to(device)
        self.body = nn.Sequential(*list(self.network.children())[:-1])  # all but the classifier
        self.resize = resize
        self.identity = f"inception-{INCEPTION.sha256_prefix}{'-pytorch' if resize == PYTORCH_299 else ''}"

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        weight = next(self.network.parameters())
        assert weight.dtype == torch.float32
        with full_precision(weight.device.type):
            if self.resize == TENSORFLOW_299:
                (features,) = self.network(to_uint8(images).to(weight.device))
                return features.float()
            resized = F.interpolate(images.float().clamp(-1, 1).to(weight.device), size=(299, 299), mode="bilinear")
            return self.body(resized).flatten(1)

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """The 1008 logits without bias of `[B, 2048]` features: what the inception score is defined on."""
        weight = self.network.fc.weight
        with full_precision(weight.device.type):
            return features.to(weight) @ weight.T


class VggFeatures:
    """The 4096 features of VGG-16's second dense layer, after its ReLU: what precision and recall are defined on.

    Pixels as saved, resized to 224 as TensorFlow 1 did, as in torch-fidelity.
    """

    name = "vgg16"
    identity = f"vgg16-{VGG16.sha256_prefix}"
    dimension = 4096

    def __init__(self, device: torch.device | str = "cpu") -> None:
        from torchvision.models import vgg16

        with torch.device("meta"):  # 138 million random numbers would be drawn in vain
            network = vgg16()
        network.load_state_dict(torch.load(VGG16.find(), weights_only=True), assign=True)
        network.classifier = network.classifier[:5]
        self.network = network.requires_grad_(False).eval().to(device)
        self.mean = torch.tensor([0.485, 0.456, 0.406], device=device)[:, None, None] * 255
        self.spread = torch.tensor([0.229, 0.224, 0.225], device=device)[:, None, None] * 255

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

        pixels = to_uint8(images).to(self.mean.device).float()
        with full_precision(self.mean.device.type):
            resized = interpolate_bilinear_2d_like_tensorflow1x(pixels, size=(224, 224), align_corners=False)
            return self.network((resized - self.mean) / self.spread)


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
        with full_precision(device.type):
            return self.network.pooled(images.float().clamp(-1, 1).to(device)).float()
