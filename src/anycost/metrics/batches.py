"""One batch of images on its way through all measures: what several of them need is computed once."""

from collections.abc import Callable, Hashable

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


class Target:
    """The full generator's images of one batch of seeds, and what measures made of them, for all architectures.

    Args:
        images: `[B, 3, R, R]` at the full generator's resolution.
        resize: the filter that brings them to another one.
    """

    def __init__(self, images: Tensor, resize: Resize = antialiased) -> None:
        self.images, self.resize = images, resize
        self._resized = {images.shape[-1]: images}
        self._computed: dict[Hashable, list[Tensor]] = {}

    def at(self, resolution: int) -> Tensor:
        """The images, brought to `resolution`."""
        if resolution not in self._resized:
            self._resized[resolution] = self.resize(self.images, resolution)
        return self._resized[resolution]

    def computed(
        self, key: Hashable, compute: Callable[[], list[Tensor]], kept_bytes: int | None = None
    ) -> list[Tensor]:
        """What `compute` makes of the images, kept under `key`, unless it has more than `kept_bytes`."""
        if key in self._computed:
            return self._computed[key]
        made = compute()
        if kept_bytes is None or sum(tensor.nbytes for tensor in made) <= kept_bytes:
            self._computed[key] = made
        return made


class Batch:
    """Images `[B, 3, r, r]`, uint8, or float in [-1, 1] nominally, of consecutive indices.

    Args:
        images: what is measured.
        target: the full generator's images of the same latents and noise, at its own resolution; as a `Target`,
            architectures share what is computed of them.
        second: the other ends of the pairs of `path_length`, of which `images` are the first.
        label: names the architecture, or the folder, in errors.
        resize: the filter that brings a `target` given as images to another resolution.
    """

    def __init__(
        self,
        images: Tensor,
        target: Target | Tensor | None = None,
        second: Tensor | None = None,
        label: str = "",
        resize: Resize = antialiased,
    ) -> None:
        self.images, self.second, self.label = images, second, label
        self.target = Target(target, resize) if isinstance(target, Tensor) else target
        self._features: dict[tuple[str, str], NDArray[np.float32]] = {}
        self._checked = False

    def __len__(self) -> int:
        return len(self.images)

    def check(self, index: int) -> None:
        """`UserError` where an image holds NaN or infinity; `index` is that of the first one."""
        if not self._checked:
            for images in (self.images, self.second, self.target.images if self.target else None):
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

    def _refuse(self, rows: Tensor, index: int, what: str) -> None:
        finite = torch.isfinite(rows).all(1)
        if not finite.all():
            first = index + int((~finite).nonzero()[0])
            of = f" of {self.label}" if self.label else ""
            raise UserError(
                f"sample {first}{of}: {what} is not finite (NaN or infinity); the weights have diverged or are "
                "damaged: look at the training's losses and take an earlier checkpoint"
            )
