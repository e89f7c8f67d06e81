"""One batch of images on its way through all measures: what several of them need is computed once."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from anycost.errors import UserError
from anycost.metrics.features import FeatureExtractor
from anycost.sampling import from_uint8, to_uint8

Resize = Callable[[Tensor, int], Tensor]


def antialiased(images: Tensor, resolution: int) -> Tensor:
    """Bilinear resize of `[B, 3, R, R]`, antialiased: the data pyramid's default filter."""
    return F.interpolate(images, size=(resolution, resolution), mode="bilinear", antialias=True)


class Batch:
    """Images `[B, 3, r, r]`, uint8, or float in [-1, 1] nominally, of consecutive indices.

    Args:
        images: what is measured.
        target: the full generator's images of the same latents and noise, at its own resolution.
        second: the other ends of the pairs of `path_length`, of which `images` are the first.
        label: names the architecture, or the folder, in errors.
        resize: the filter that brings `target` to another resolution.
    """

    def __init__(
        self,
        images: Tensor,
        target: Tensor | None = None,
        second: Tensor | None = None,
        label: str = "",
        resize: Resize = antialiased,
    ) -> None:
        self.images, self.target, self.second, self.label, self.resize = images, target, second, label, resize
        self._features: dict[tuple[str, str], NDArray[np.float32]] = {}
        self._checked = False

    def __len__(self) -> int:
        return len(self.images)

    def check(self, index: int) -> None:
        """`UserError` where an image holds NaN or infinity; `index` is that of the first one."""
        if not self._checked:
            for images in (self.images, self.target, self.second):
                if images is not None and images.is_floating_point():
                    self._refuse(images.flatten(1), index, "an image")
            self._checked = True

    def floats(self, quantisation: str = "none") -> Tensor:
        """The images in [-1, 1]: clamped, or as their saved pixels say (`uint8`)."""
        if not self.images.is_floating_point():
            return from_uint8(self.images)
        return from_uint8(to_uint8(self.images)) if quantisation == "uint8" else self.images.float().clamp(-1, 1)

    def features(self, extractor: FeatureExtractor, quantisation: str, index: int) -> NDArray[np.float32]:
        """Features `[B, D]` by this extractor, computed once for all measures; `UserError` if they are not finite."""
        key = (extractor.identity, quantisation)
        if key not in self._features:
            features = extractor(self.floats(quantisation))
            self._refuse(features, index, f"the {extractor.name} features of an image")
            self._features[key] = features.cpu().numpy()
        return self._features[key]

    def target_at(self, resolution: int) -> Tensor:
        """The full generator's images, brought to `resolution`."""
        assert self.target is not None
        same = self.target.shape[-1] == resolution
        return self.target if same else self.resize(self.target, resolution)

    def _refuse(self, rows: Tensor, index: int, what: str) -> None:
        finite = torch.isfinite(rows).all(1)
        if not finite.all():
            first = index + int((~finite).nonzero()[0])
            of = f" of {self.label}" if self.label else ""
            raise UserError(
                f"sample {first}{of}: {what} is not finite (NaN or infinity); the weights have diverged or are "
                "damaged: look at the training's losses and take an earlier checkpoint"
            )
