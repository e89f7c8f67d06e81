"""The embedded network: a small convolutional net whose weights ship in the package, for use without a download.

It is trained by `stage=attributes`. Its features give the offline perceptual distance and the offline features of
Frechet and kernel distances; its heads name the attributes and the parts of the embedded faces. Distances of its
features rank runs on one data set and nothing else.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

from anycost.errors import UserError

SHIPPED = Path(__file__).resolve().parents[1] / "weights" / "embedded.safetensors"
NUM_LEVELS = 4
SMALLEST, LARGEST = 16, 256  # sides that the convolutions see; others are resized
FACE_SIDE = 64  # the largest side of training: what needs the whole picture is read at most at this size
GRIDS = {2: 8, 3: 4}  # attributes are read from these levels, averaged to so many places a side: where tells what
DETAIL_LEVELS = 2  # levels of `pooled` that are read at the picture's own size


class EmbeddedNetwork(nn.Module):
    """Four levels of two 3x3 convolutions at r, r/2, r/4 and r/8; no normalisation, so every feature is local.

    About 13 million multiply-adds for a picture of 32 px. Pictures are float `[B, 3, r, r]` in [-1, 1]. Sides below
    16 are enlarged, those above 256 are made smaller with an antialiased filter.

    Args:
        width: channels of the first level; each further level has twice as many.
        attribute_names: what the columns of `attributes` say.
        label_names: what the channels of `label_map` say.
        identity: names the exact weights, for caches of features.
    """

    def __init__(
        self, width: int, attribute_names: Sequence[str], label_names: Sequence[str], identity: str = "fresh"
    ) -> None:
        super().__init__()
        self.width, self.identity = width, identity
        self.attribute_names, self.label_names = tuple(attribute_names), tuple(label_names)
        self.level_channels = [width << level for level in range(NUM_LEVELS)]
        inputs = [3, *self.level_channels[:-1]]
        self.levels = nn.ModuleList(map(_Level, inputs, self.level_channels))
        places = sum(side**2 * self.level_channels[level] for level, side in GRIDS.items())
        self.attribute_head = nn.Linear(places, len(self.attribute_names))
        self.label_heads = nn.ModuleList(nn.Conv2d(c, len(self.label_names), 1) for c in self.level_channels[1:])
        self.to(memory_format=torch.channels_last)

    @property
    def feature_dimension(self) -> int:
        """Length of a `pooled` vector."""
        return sum(self.level_channels)

    @property
    def options(self) -> dict[str, Any]:
        """What builds the same network again, without its weights."""
        return {"width": self.width, "attribute_names": self.attribute_names, "label_names": self.label_names}

    @staticmethod
    def shipped() -> "EmbeddedNetwork":
        """A fresh copy of the network in the package: evaluation mode, float32, frozen."""
        return EmbeddedNetwork.load(SHIPPED)

    @staticmethod
    def load(path: Path) -> "EmbeddedNetwork":
        """The network of a weights file of kind `embedded`, in float32, frozen; `UserError` for any other file."""
        options, tensors, identity = _read(path)
        with torch.random.fork_rng(devices=[]):
            network = EmbeddedNetwork(**options, identity=identity)
        network.load_state_dict(tensors)
        return network.eval().requires_grad_(False)

    def features(self, images: Tensor, levels: int = NUM_LEVELS) -> list[Tensor]:
        """The first `levels` levels, `[B, width * 2^i, r / 2^i, r / 2^i]` each, of pictures in [-1, 1]."""
        x = _resized(images, SMALLEST, LARGEST).contiguous(memory_format=torch.channels_last)
        maps: list[Tensor] = []
        for level in self.levels[:levels]:
            x = level(F.avg_pool2d(x, 2) if maps else x)
            maps.append(x)
        return maps

    def pooled(self, images: Tensor) -> Tensor:
        """The means of all features over the picture: `[B, feature_dimension]`.

        The two finest levels see the picture at its own size, the others at 64 px at most, where a face still fits
        into what one feature sees.
        """
        if images.shape[-1] <= FACE_SIDE:
            return self.pool(self.features(images))
        whole = self.features(_resized(images, SMALLEST, FACE_SIDE))
        return self.pool(self.features(images, DETAIL_LEVELS) + whole[DETAIL_LEVELS:])

    def pool(self, maps: Sequence[Tensor]) -> Tensor:
        """The means of all levels of one pass of `features`."""
        return torch.cat([level.mean((2, 3)) for level in maps], dim=1)

    def attributes(self, images: Tensor) -> Tensor:
        """Logits `[B, len(attribute_names)]` that each attribute is true of the face; read at 64 px at most."""
        return self.answers(self.features(_resized(images, SMALLEST, FACE_SIDE)))[0]

    def label_map(self, images: Tensor) -> Tensor:
        """Logits `[B, len(label_names), r/2, r/2]` of the part of the face at each place.

        r is the side of the picture, or 64 where that is smaller.
        """
        return self.answers(self.features(_resized(images, SMALLEST, FACE_SIDE)))[1]

    def answers(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Attribute and label-map logits of one pass of `features`."""
        side = maps[1].shape[-1]
        parts = [
            F.interpolate(head(level), size=(side, side), mode="bilinear")
            for head, level in zip(self.label_heads, maps[1:], strict=True)
        ]
        grids = [F.adaptive_avg_pool2d(maps[level], size).flatten(1) for level, size in GRIDS.items()]
        return self.attribute_head(torch.cat(grids, dim=1)), torch.stack(parts).sum(0)


class _Level(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        for convolution in (self.first, self.second):
            # What He's gain is for ReLU: 1.68 keeps the mean square of normal numbers through SiLU.
            nn.init.normal_(convolution.weight, std=1.68 / (9 * convolution.in_channels) ** 0.5)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.second(F.silu(self.first(x))))


def _resized(images: Tensor, smallest: int, largest: int) -> Tensor:
    side = min(max(images.shape[-1], smallest), largest)
    if side == images.shape[-1]:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


@lru_cache(maxsize=2)
def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], str]:
    """Options, float32 tensors and identity of a weights file. Read by hand: `interchange` knows the networks."""
    if not path.is_file():
        raise UserError(f"the embedded network's weights are not at {path}; install anycost again, or train them "
                        "(docs/embedded_network.md)")  # fmt: skip
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["anycost"])
    if header["kind"] != "embedded":
        raise UserError(f"{path} holds {header['kind']} weights, not those of the embedded network")
    tensors = {name: tensor.float() for name, tensor in load(content).items()}
    return header["model"], tensors, hashlib.sha256(content).hexdigest()[:8]
