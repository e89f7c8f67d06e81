"""The predictors of attributes: the official file's layout, what is no such file, and the embedded one."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from anycost.errors import UserError
from anycost.networks.attributes import CELEBA_ATTRIBUTES, CelebaPredictor, attribute_predictor
from anycost.networks.embedded import EmbeddedNetwork
from anycost.networks.published import ATTRIBUTE_PREDICTOR


def images(side: int = 64, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_the_official_layout_is_read(predictor: nn.Module, hub: Path) -> None:
    loaded = attribute_predictor("attribute_predictor")
    assert sum(parameter.numel() for parameter in loaded.parameters()) == 23_671_952
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with torch.no_grad():
        logits = predictor(images()).view(2, 40, 2)
    answers = loaded.answers(images())
    assert torch.equal(answers, logits[..., 1] > logits[..., 0])
    digest = hashlib.sha256((hub / ATTRIBUTE_PREDICTOR.file).read_bytes()).hexdigest()
    assert loaded.identity == f"attribute_predictor-{digest[:8]}"
    assert 0 < answers.float().mean() < 1


def test_the_forty_attributes_are_in_the_order_of_celeba() -> None:
    assert len(CELEBA_ATTRIBUTES) == len(set(CELEBA_ATTRIBUTES)) == 40
    assert list(CELEBA_ATTRIBUTES) == sorted(CELEBA_ATTRIBUTES)
    named = {31: "Smiling", 39: "Young", 33: "Wavy_Hair", 17: "Gray_Hair", 9: "Blond_Hair", 15: "Eyeglasses"}
    assert {place: CELEBA_ATTRIBUTES[place] for place in named} == named


class Evil:
    """Pickles to something that runs code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("content", [{"state_dict": {}}, {"network": {}}, {"state_dict": [1]}, [1, 2]])
def test_another_file_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match=r"file\.pt is not the attribute predictor"):
        CelebaPredictor.load(path)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "file.pt", tmp_path / "mark"
    torch.save({"state_dict": Evil(mark)}, path)
    with pytest.raises(UserError, match="is not the attribute predictor"):
        CelebaPredictor.load(path)
    assert not mark.exists()


def test_a_missing_file_is_explained_and_never_downloaded(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *given: asked.append(given))
    with pytest.raises(UserError) as error:
        attribute_predictor("attribute_predictor")
    place = str(hub / ATTRIBUTE_PREDICTOR.file)
    for part in (ATTRIBUTE_PREDICTOR.address, place, "ANYCOST_ATTRIBUTE_PREDICTOR", "attribute_consistency_embedded"):
        assert part in str(error.value)
    assert asked == []


def test_the_variable_names_the_file(untrained_resnet: nn.Module, hub: Path, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    path = tmp_path / "mine.pt"
    torch.save({"state_dict": untrained_resnet.state_dict()}, path)
    monkeypatch.setenv("ANYCOST_ATTRIBUTE_PREDICTOR", str(path))
    assert attribute_predictor("attribute_predictor").names == CELEBA_ATTRIBUTES


def test_the_embedded_one_answers_as_its_heads_do() -> None:
    network, predictor = EmbeddedNetwork.shipped(), attribute_predictor("embedded")
    assert predictor.names == network.attribute_names
    assert torch.equal(predictor.answers(images(128)), network.attributes(images(128)) > 0)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="features=clip"):
        attribute_predictor("clip")
