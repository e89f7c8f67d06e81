"""The attributes stage: trains the embedded network on faces and, so that it is not blind outside them, on textures.

Faces: which attributes are true (binary cross-entropy), what lies where (cross-entropy with the shares of the labels).
Textures: how far they are turned, of which family they are, and which of four crops is of the same texture.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import AttributesConfig
from anycost.data.faces import ATTRIBUTE_NAMES, LABEL_NAMES
from anycost.data.labelled_faces import AttributeBatch, AttributesDataModule
from anycost.data.textures import FAMILIES
from anycost.errors import UserError
from anycost.interchange.weights import Header
from anycost.networks.embedded import EmbeddedNetwork
from anycost.randomness import derive_seed
from anycost.stages.attribute_scores import held_out_scores
from anycost.stages.gradients import FlatGradients
from anycost.stages.phases import Phase
from anycost.stages.stage import Stage

GROUP = 4  # textures whose crops are told from each other
_SHARPNESS = 10.0  # of the softmax over cosines of crops
_WARM_UP = 0.05  # share of the stage in which the learning rate rises


class TextureHeads(nn.Module):
    """What is asked of textures, from pooled features `[N, D]`; not part of what ships."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.rotation = nn.Linear(dimension, 4)
        self.family = nn.Linear(dimension, len(FAMILIES))
        self.crop = nn.Linear(dimension, 32)

    def matches(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits `[B / 4, 4, 4]` that crop j of `second` is of the same texture as crop i of `first`.

        Image k of the batch belongs to group `k mod B/4`, as in minibatch-std: the same groups for any number of
        processes and micro-batches.
        """
        groups = [F.normalize(self.crop(x), dim=1).view(GROUP, -1, 32).transpose(0, 1) for x in (first, second)]
        return groups[0] @ groups[1].transpose(1, 2) * _SHARPNESS


class AttributesStage(Stage):
    """One network, one phase, one cosine of the learning rate over the stage."""

    options: AttributesConfig

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        if config.init_from not in ("auto", "none"):
            raise UserError(f"init_from={config.init_from}: stage=attributes starts from scratch; leave it out")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(config.seed, "networks"))
            self.network = EmbeddedNetwork(self.options.width, ATTRIBUTE_NAMES, LABEL_NAMES)
            self.texture_heads = TextureHeads(self.network.feature_dimension)

    def build_data(self) -> AttributesDataModule:
        """Faces with labels, textures beside them."""
        return AttributesDataModule(self.config.data, self.seed)

    def results(self) -> tuple[dict[str, Tensor], Header]:
        """The network in half precision, as it ships; the card holds what it scores on faces never trained on."""
        scores = held_out_scores(self.network, self.texture_heads, self.seed, self.config.data.resolution)
        source = self.build_data().source
        card = {**self.card(), "faces": source.fingerprint(), "held_out": scores}
        tensors = {name: tensor.half() for name, tensor in self.network.state_dict().items()}
        return tensors, Header("embedded", model=self.network.options, card=card, licence="MIT")

    # ---- Lightning

    def on_fit_start(self) -> None:
        self.flat = {"network": FlatGradients(self._trained())}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        self.adam = {"network": torch.optim.Adam(self._trained(), betas=(0.9, 0.99), fused=True)}
        return self.restore_optimizers()

    def training_step(self, batch: AttributeBatch, batch_index: int) -> None:
        """One step of the network, then the clock."""
        self.values, self.measured = {}, {}
        for group in self.adam["network"].param_groups:
            group["lr"] = self.learning_rate()
        shares = self._shares(batch)
        with Phase(self, "network", len(shares), "network") as phase:
            for share in shares:
                scalars = self.face_losses(share) | self.texture_losses(share)
                phase.backward(self.total(scalars), scalars)
        self.clock.advance()

    # ---- pieces

    def learning_rate(self) -> float:
        """A linear rise over the first twentieth, under one cosine down to zero."""
        done = self.clock.images / self.total_images
        return self.options.learning_rate * min((done + 1e-3) / _WARM_UP, 1) * 0.5 * (1 + math.cos(math.pi * done))

    def face_losses(self, share: AttributeBatch) -> dict[str, Tensor]:
        """Means over the images, attributes and places."""
        ((_, images),) = share["images"].items()
        attributes, labels = map(_wide, self.network.answers(self.network.features(self._floats(images))))
        return {
            "train/attributes": F.binary_cross_entropy_with_logits(attributes, share["attributes"].to(attributes)),
            "train/labels": F.cross_entropy(labels, share["labels"].to(labels)),
        }

    def texture_losses(self, share: AttributeBatch) -> dict[str, Tensor]:
        """Cross-entropies: of 4 turns, of the families, of 4 crops."""
        heads, pooled = self.texture_heads, self.network.pooled(self._floats(share["textures"].flatten(0, 1)))
        matches = _wide(heads.matches(pooled[0::2], pooled[1::2]))
        same = torch.arange(GROUP, device=matches.device).expand(len(matches), GROUP)
        return {
            "train/rotation": F.cross_entropy(_wide(heads.rotation(pooled)), share["rotation"].repeat_interleave(2)),
            "train/family": F.cross_entropy(_wide(heads.family(pooled)), share["family"].repeat_interleave(2)),
            "train/crops": F.cross_entropy(matches.flatten(0, 1), same.flatten()),
        }

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """The weighted sum; an attribute's loss is a mean over many, hence a weight of its own."""
        textures = losses["train/rotation"] + losses["train/family"] + losses["train/crops"]
        faces = self.options.attribute_weight * losses["train/attributes"] + losses["train/labels"]
        return faces + self.options.texture_weight * textures

    def _trained(self) -> list[nn.Parameter]:
        return [*self.network.parameters(), *self.texture_heads.parameters()]

    def _shares(self, batch: AttributeBatch) -> list[AttributeBatch]:
        """Micro-batch c of C takes the images c, c + C, ..."""
        size = len(batch["index"])
        count = size // min(self.config.trainer.micro_batch or size, size)
        (resolution,) = batch["images"]
        flat = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
        return [
            cast(AttributeBatch, {name: value[c::count] for name, value in flat.items()}
                 | {"images": {resolution: batch["images"][resolution][c::count]}})
            for c in range(count)
        ]  # fmt: skip

    def _floats(self, images: Tensor) -> Tensor:
        return images.to(self.network.attribute_head.weight.dtype) / 127.5 - 1


def _wide(logits: Tensor) -> Tensor:
    """Losses are computed in float32 at least."""
    return logits.float() if logits.dtype == torch.bfloat16 else logits
