"""What the shipped network says of faces that it has never seen."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from anycost.data.faces import ATTRIBUTE_NAMES, LABEL_NAMES, FaceSource
from anycost.data.labelled_faces import label_shares
from anycost.networks.embedded import EmbeddedNetwork
from anycost.randomness import derive_seed

COUNT = 384
# The first cannot be seen at 16 px.
PLAIN_TO_SEE = ("Smiling", "Bald", "Eyeglasses", "Wearing_Hat", "Black_Hair", "Blond_Hair", "Gray_Hair")


@pytest.fixture(scope="module")
def source() -> FaceSource:
    return FaceSource(COUNT, derive_seed(12345, "tests"))


def test_the_heads_have_the_names_of_the_faces(network: EmbeddedNetwork) -> None:
    assert network.attribute_names == ATTRIBUTE_NAMES
    assert network.label_names == LABEL_NAMES


@pytest.mark.parametrize(("side", "least"), [(64, 0.89), (32, 0.87), (16, 0.84)])
def test_attributes(network: EmbeddedNetwork, source: FaceSource, side: int, least: float) -> None:
    truth = source.attributes(range(COUNT))
    images = source.render(range(COUNT), 64).float() / 127.5 - 1
    images = torch.nn.functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    right = ((network.attributes(images) > 0) == truth).float().mean(0)
    majority = torch.maximum(truth.float().mean(0), 1 - truth.float().mean(0))
    assert right.mean() > least > majority.mean()
    for name in PLAIN_TO_SEE if side > 16 else PLAIN_TO_SEE[1:]:
        place = ATTRIBUTE_NAMES.index(name)
        assert right[place] > majority[place], name


def test_label_maps(network: EmbeddedNetwork, source: FaceSource) -> None:
    images = source.render(range(64), 64).float() / 127.5 - 1
    answers = network.label_map(images).argmax(1)
    truth = label_shares(source.label_maps(range(64), 64), 32).argmax(1)
    assert (answers == truth).float().mean() > 0.9
    eyes = LABEL_NAMES.index("eyes")
    assert ((answers == eyes) & (truth == eyes)).sum() > 0.5 * (truth == eyes).sum()


def test_a_large_picture_is_read_like_a_small_one(network: EmbeddedNetwork, source: FaceSource) -> None:
    def answers(side: int) -> Tensor:
        return network.attributes(source.render(range(16), side).float() / 127.5 - 1) > 0

    agree: Callable[[Tensor, Tensor], float] = lambda a, b: float((a == b).float().mean())  # noqa: E731
    assert agree(answers(256), answers(64)) > 0.93
