"""Predictors of attributes: Anycost's published one of CelebA's forty, and the heads of the embedded network."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from anycost.errors import UserError
from anycost.networks.published import ATTRIBUTE_PREDICTOR, sha256

if TYPE_CHECKING:
    from anycost.networks.embedded import EmbeddedNetwork

NAMES = ("attribute_predictor", "embedded")
CELEBA_ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip


def attribute_predictor(name: str, device: torch.device | str = "cpu") -> "AttributePredictor":
    """The predictor called `attribute_predictor` or `embedded`, frozen.

    Raises `UserError` when the published weights are not there, or are of another layout.
    """
    if name == "attribute_predictor":
        return CelebaPredictor.load(ATTRIBUTE_PREDICTOR.find()).to(device)
    if name == "embedded":
        from anycost.networks.embedded import EmbeddedNetwork

        return EmbeddedPredictor(EmbeddedNetwork.shipped()).to(device)
    raise UserError(f"features={name} is not one of {', '.join(NAMES)}")


class AttributePredictor(nn.Module):
    """Says of images `[B, 3, r, r]` in [-1, 1] which of `names` they have; `identity` names the exact weights."""

    names: tuple[str, ...]
    identity: str

    def answers(self, images: Tensor) -> Tensor:
        """True where an image has the attribute: `[B, len(names)]`."""
        raise NotImplementedError


class CelebaPredictor(AttributePredictor):
    """A ResNet-50 with two logits (no, yes) for each of CelebA's forty attributes; made for images of 256 px."""

    names = CELEBA_ATTRIBUTES

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet50

        self.network = resnet50(num_classes=2 * len(self.names))

    @staticmethod
    def load(path: Path) -> "CelebaPredictor":
        """From the official file, `{"state_dict": ...}` of a ResNet-50; runs no code that the file may hold."""
        with torch.device("meta"):
            predictor = CelebaPredictor()
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            state = content["state_dict"]
            assert isinstance(state, Mapping)
            wide = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
            predictor.network.load_state_dict(wide, assign=True)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{path} is not the attribute predictor: a dictionary with the state_dict of a ResNet-50 with "
                f"{2 * len(CELEBA_ATTRIBUTES)} outputs is needed ({type(error).__name__}: {reason})"
            ) from error
        predictor.requires_grad_(False)
        predictor.identity = f"attribute_predictor-{sha256(path)[:8]}"
        return predictor.eval()

    def answers(self, images: Tensor) -> Tensor:
        return self.network(images).view(len(images), -1, 2).argmax(2).bool()


class EmbeddedPredictor(AttributePredictor):
    """The heads of the embedded network, for the embedded faces; reads 64 px at most."""

    def __init__(self, network: "EmbeddedNetwork") -> None:
        super().__init__()
        self.network, self.names = network, network.attribute_names
        self.identity = f"embedded-{network.identity}"

    def answers(self, images: Tensor) -> Tensor:
        return self.network.attributes(images) > 0
