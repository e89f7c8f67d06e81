"""What `stage=attributes` trains on: faces with attributes and label maps, and two crops of a texture beside each."""

from collections.abc import Sequence
from itertools import permutations
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from anycost.configuration.schema import DataConfig
from anycost.data.augmentation import crop, photometric
from anycost.data.batches import Batch
from anycost.data.datamodule import ImageDataModule
from anycost.data.datasets import CachedPyramids, TrainingImages
from anycost.data.faces import LABEL_NAMES, FaceSource
from anycost.data.faces.draws import Draws
from anycost.data.pyramid import downsample
from anycost.data.textures import draw_textures
from anycost.errors import UserError
from anycost.randomness import python_random

SMALLEST = 16
CANVAS = 1.5  # side of a texture in sides of its crops
_SHIFT = 16  # faces move by up to 1 / _SHIFT of their side


class AttributeBatch(Batch):
    """A batch all of whose pictures have the one resolution r of the step."""

    attributes: Tensor
    """float32 [B, attributes], 0 or 1"""
    labels: Tensor
    """float32 [B, labels, r/2, r/2]: the share of each label in each place"""
    textures: Tensor
    """uint8 [B, 2, 3, r, r]: two crops of one texture, turned alike, the colours of the second exchanged"""
    family: Tensor
    """int64 [B]: place in `textures.FAMILIES`"""
    rotation: Tensor
    """int64 [B]: quarter turns of both crops"""


class AttributeImages(TrainingImages):
    """Training images of the stage; all that is drawn depends on (seed, image index) alone, but for the resolution.

    That is drawn from (seed, first index of the global batch): powers of two from 16 to the largest, the larger the
    rarer, since they cost more.
    """

    def __init__(
        self, source: FaceSource, resolution: int, batch_size: int, seed: int, mirror: bool, filter: str, cache: bool
    ) -> None:
        super().__init__(source, (resolution,), seed, mirror, filter)
        self.faces, self.resolution, self.batch_size, self.filter = source, resolution, batch_size, filter
        self._pyramids = CachedPyramids(self._drawn) if cache else self._drawn

    def _drawn(self, places: Sequence[int]) -> dict[int, Tensor]:
        """Pictures at the full resolution, uint8 `[B, 3, R, R]`, and label maps at half of it, `[B, R/2, R/2]`.

        Together, since `TrainingImages` flips them alike.
        """
        half = self.resolution // 2
        return {self.resolution: self.faces.render(places, self.resolution), half: self.faces.label_maps(places, half)}

    def step_resolution(self, index: int) -> int:
        """The resolution of the step that training image `index` belongs to."""
        choices = [r for r in (16, 32, 64, 128, 256) if r <= self.resolution]
        weights = [(SMALLEST / r) ** 0.5 for r in choices]
        rng = python_random(self.seed, "resolution", index // self.batch_size)
        return rng.choices(choices, weights)[0]

    def __getitems__(self, indices: Sequence[int]) -> AttributeBatch:
        resolution = self.step_resolution(indices[0])
        images, labels = self._moved(super().__getitems__(indices), indices)
        faces = photometric(downsample(images, resolution, self.filter), self.seed, "faces", indices)
        textures, family, rotation = texture_crops(self.seed, indices, resolution)
        crops = [2 * i + k for i in indices for k in (0, 1)]
        textures = photometric(textures.flatten(0, 1), self.seed, "textures", crops)
        places = [self.place(i) for i in indices]
        return {
            "index": torch.tensor(indices),
            "images": {resolution: _to_uint8(faces)},
            "attributes": self.faces.attributes(places).float(),
            "labels": label_shares(labels, resolution // 2),
            "textures": _to_uint8(textures).unflatten(0, (-1, 2)),
            "family": family,
            "rotation": rotation,
        }

    def _moved(self, batch: Batch, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Pictures float32 in [0, 1] and label maps, shifted alike by whole pixels of the label map."""
        draws = Draws(self.seed, torch.tensor(indices, dtype=torch.int64))
        half = self.resolution // 2
        reach = half / _SHIFT
        top = draws.uniform("top", -reach, reach + 1).floor().long()
        left = draws.uniform("left", -reach, reach + 1).floor().long()
        images = crop(batch["images"][self.resolution], 2 * top, 2 * left, self.resolution).float() / 255
        return images, crop(batch["images"][half], top, left, half)


def label_shares(labels: Tensor, side: int) -> Tensor:
    """Label maps uint8 `[B, h, h]` -> float32 `[B, labels, side, side]`, the share of each label in each place."""
    shares = F.one_hot(labels.long(), len(LABEL_NAMES)).movedim(-1, 1).float()
    return F.avg_pool2d(shares, labels.shape[-1] // side)


def texture_crops(seed: int, indices: Sequence[int], side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two crops `[B, 2, 3, side, side]` in [0, 1] of each texture, its family and its rotation, int64 `[B]` each.

    The rotation counts quarter turns, anticlockwise. The channels of the second crop are permuted, so that colour does
    not tell which texture it is of.
    """
    canvases, family = draw_textures(seed, indices, int(CANVAS * side))
    draws = Draws(seed, torch.tensor(list(indices), dtype=torch.int64))
    rotation = draws.choice("rotation", [0.25] * 4)
    free = canvases.shape[-1] - side
    crops = []
    for k in (0, 1):
        top, left = (draws.uniform(f"{name} {k}", 0, free + 1).long() for name in ("top", "left"))
        crops.append(crop(canvases, top, left, side))
    pairs = torch.stack(crops, dim=1)
    for turns in (1, 2, 3):
        pairs[rotation == turns] = pairs[rotation == turns].rot90(turns, (-2, -1))
    orders = torch.tensor(list(permutations(range(3))))[draws.choice("channels", [1 / 6] * 6)]
    pairs[:, 1] = pairs[:, 1].gather(1, orders[:, :, None, None].expand(-1, -1, side, side))
    return pairs, family, rotation


class AttributesDataModule(ImageDataModule):
    """Labelled faces and textures from where the clock stands to the end of the stage."""

    def __init__(self, config: DataConfig, seed: int) -> None:
        if config.kind != "faces":
            raise UserError(f"data={config.name} has no labels: stage=attributes learns those of the embedded faces; "
                            "use data=faces")  # fmt: skip
        if not 32 <= config.resolution <= 256:
            raise UserError(f"data.resolution={config.resolution} is not between 32 and 256; stage=attributes trains "
                            "on 16 px up to it: take data.resolution=64")  # fmt: skip
        super().__init__(config, (config.resolution,), seed)
        self.images = AttributeImages(
            cast(FaceSource, self.source), config.resolution, config.batch_size, seed, config.mirror, config.filter,
            config.cache,
        )  # fmt: skip


def _to_uint8(images: Tensor) -> Tensor:
    return (images * 255).round_().to(torch.uint8)
