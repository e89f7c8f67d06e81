"""What the embedded network knows, measured on faces and textures that no training draws."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from anycost.data.faces import FaceSource
from anycost.data.labelled_faces import label_shares, texture_crops
from anycost.networks.embedded import EmbeddedNetwork
from anycost.randomness import derive_seed

if TYPE_CHECKING:
    from anycost.stages.attributes import TextureHeads

_BATCH = 64


@torch.no_grad()
def held_out_scores(
    network: EmbeddedNetwork, heads: "TextureHeads", seed: int, resolution: int, count: int = 1024
) -> dict[str, Any]:
    """Shares between 0 and 1, over `count` faces and `count` textures, drawn at `resolution` but 64 px at most.

    `attributes` gives for each name the accuracy and that of always saying what is more frequent; `label_accuracy`
    is over places, `label_iou` the mean over labels of intersection over union; `rotation`, `family` and `crops` are
    the accuracies on textures (by chance 1/4, 1 of the families, 1/4).
    """
    resolution, held_out = min(resolution, 64), derive_seed(seed, "held out")
    faces, device = FaceSource(count, held_out), next(network.parameters()).device
    batches = [list(range(start, min(start + _BATCH, count))) for start in range(0, count, _BATCH)]
    right = truth = torch.zeros(len(network.attribute_names))
    confusion, textures = torch.zeros(len(network.label_names), len(network.label_names)), torch.zeros(3)
    for batch in batches:
        images = faces.render(batch, resolution).to(device).float() / 127.5 - 1
        attributes, labels = network.answers(network.features(images))
        wanted = faces.attributes(batch)
        right = right + ((attributes.cpu() > 0) == wanted).sum(0)
        truth = truth + wanted.sum(0)
        confusion += _confusion(labels.cpu(), faces.label_maps(batch, resolution))
        textures += _texture_hits(network, heads, held_out, batch, resolution)
    majority = torch.maximum(truth, count - truth) / count
    pairs = torch.stack([right / count, majority], dim=1)
    hits = confusion.diagonal()
    return {
        "resolution": resolution,
        "count": count,
        "attribute_accuracy": _rounded(pairs[:, 0].mean()),
        "attribute_majority": _rounded(majority.mean()),
        "attributes": {n: [_rounded(x) for x in pair] for n, pair in zip(network.attribute_names, pairs, strict=True)},
        "label_accuracy": _rounded(hits.sum() / confusion.sum()),
        "label_iou": _rounded((hits / (confusion.sum(0) + confusion.sum(1) - hits).clamp_min(1)).mean()),
        **dict(zip(("rotation", "family", "crops"), map(_rounded, textures / count), strict=True)),
    }


def _confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts `[truth, answer]` over places; the truth at a place is the label with the largest share."""
    kinds = logits.shape[1]
    truth = label_shares(labels, logits.shape[-1]).argmax(1)
    return torch.bincount((truth * kinds + logits.argmax(1)).flatten(), minlength=kinds**2).view(kinds, kinds).float()


def _texture_hits(
    network: EmbeddedNetwork, heads: "TextureHeads", seed: int, batch: list[int], resolution: int
) -> Tensor:
    """How many of a batch of textures have their rotation, family and other crop told rightly."""
    device = next(network.parameters()).device
    crops, family, rotation = texture_crops(seed, batch, resolution)
    first, second = (network.pooled((crops[:, k] * 2 - 1).to(device)) for k in (0, 1))
    matches = heads.matches(first, second).argmax(2).cpu()
    return torch.tensor([
        float((heads.rotation(first).argmax(1).cpu() == rotation).sum()),
        float((heads.family(first).argmax(1).cpu() == family).sum()),
        float((matches == torch.arange(matches.shape[1])).sum()),
    ])  # fmt: skip


def _rounded(value: Tensor) -> float:
    return round(float(value), 4)
