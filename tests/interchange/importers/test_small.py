"""The official code's other files: encoder, attribute predictor, boundaries, latents, evolved configurations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import resnet50

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.interchange.importers import Choice, Imported, convert
from anycost.interchange.weights import read_weights
from anycost.networks.attributes import CELEBA_ATTRIBUTES

Import = Callable[..., Imported]
EVOLVED = Path(__file__).resolve().parents[2] / "pricing" / "evolved.json"


# ---- ResNet-50s


def resnet(outputs: int) -> dict[str, Tensor]:
    with torch.device("meta"):
        state = resnet50(num_classes=outputs).state_dict()
    return {name: torch.full(x.shape, 0.5, dtype=x.dtype) for name, x in state.items()}


def test_encoder(imported: Import) -> None:
    state = resnet(18 * 16) | {"mean_latent": torch.randn(16)}
    result = imported({"state_dict": state})
    assert result.header.kind == "encoder"
    assert result.header.model == {"latent_dim": 16, "num_styles": 18, "resolution": 256}
    expected = {name for name in state if not name.endswith("num_batches_tracked")}
    assert {name.removeprefix("encoder.") for name in result.tensors} == expected
    assert torch.equal(result.tensors["encoder.mean_latent"], state["mean_latent"])


def test_attribute_predictor(imported: Import) -> None:
    result = imported({"state_dict": resnet(80), "epoch": 3})
    assert result.header.kind == "attribute_predictor"
    assert result.header.model["attributes"] == list(CELEBA_ATTRIBUTES)
    assert result.header.card["left_out"] == ["epoch"]
    network = resnet50(num_classes=80)
    missing = network.load_state_dict(
        {name.removeprefix("attribute_predictor."): x for name, x in result.tensors.items()}, strict=False
    )
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    assert not missing.unexpected_keys


@pytest.mark.parametrize(("outputs", "more", "message"), [
    (10, {}, r"fc\.weight does not fit the other layers: it gives \[10, 2048\] where \[80, 2048\] is needed"),
    (80, {"layer5.0.conv1.weight": torch.ones(1)}, r"layer5\.0\.conv1\.weight is not known"),
    (17 * 16, {"mean_latent": torch.ones(16)}, r"fc\.weight gives 272 numbers, which are no W\+ of codes"),
    (18 * 16, {"mean_latent": torch.ones(15)}, r"which are no W\+ of codes like mean_latent \[15\]"),
    (18 * 16, {"mean_latent": "none"}, "mean_latent is not a tensor"),
    (18 * 16, {"mean_latent": torch.ones(16), "fc.weight": torch.ones(())}, r"fc\.weight"),
])
def test_resnets_that_are_refused(imported: Import, outputs: int, more: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        imported({"state_dict": resnet(outputs) | more})


# ---- directions


def boundaries() -> dict[str, Tensor]:
    return {f"{k:02}_{name}": torch.randn(1, 16) for k, name in enumerate(CELEBA_ATTRIBUTES)}


def test_directions(imported: Import) -> None:
    content = boundaries()
    result = imported(content)
    assert result.header.kind == "directions"
    assert result.header.model == {"latent_dim": 16, "names": list(content)}
    assert list(result.tensors) == [f"directions.{name}" for name in content]
    assert all(torch.equal(result.tensors[f"directions.{name}"], x[0]) for name, x in content.items())


def test_one_direction(imported: Import) -> None:
    result = imported(boundaries(), name="31_Smiling")
    assert list(result.tensors) == ["directions.31_Smiling"]
    with pytest.raises(UserError, match="name=Smiling is not in the file; its directions are 00_5_o_Clock_Shadow, "):
        imported(boundaries(), name="Smiling")


@pytest.mark.parametrize(("change", "message"), [
    ({"39_Young": torch.ones(2, 16)}, r"39_Young has the shape \[2, 16\]; a direction is one vector"),
    ({"39_Young": torch.ones(1, 15)}, "different lengths: 15, 16"), ({"39_Young": 0}, "39_Young is not a tensor"),
    ({"39_Young": torch.full((1, 16), torch.inf)}, "39_Young holds values that are not finite"),
])
def test_directions_that_are_refused(imported: Import, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        imported(boundaries() | change)


# ---- latents


@pytest.mark.parametrize("shape", [(18, 16), (1, 18, 16), (3, 10, 16)])
def test_latents(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Two dimensions are the W+ of one picture."""
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.save(tmp_path / "latents.npy", array)
    result = convert(tmp_path / "latents.npy")
    assert result.header.kind == "latents"
    assert result.header.model == {"latent_dim": 16, "num_styles": shape[-2]}
    np.testing.assert_array_equal(result.tensors["latents"].numpy(), array.reshape(-1, *shape[-2:]))


@pytest.mark.parametrize(("array", "message"), [
    (np.zeros((17, 16), np.float32), r"the array has the shape \[17, 16\]: projected latents are"),
    (np.zeros((3, 100, 16), np.float32), "projected latents are"),
    (np.zeros((18, 16), np.int64), "not a tensor of real numbers"),
    (np.zeros((18, 0), np.float32), "not a tensor of real numbers"),
    (np.full((18, 16), np.nan, np.float32), "not finite"),
    (np.zeros((16,), np.float32), r"a npy file of no known kind: a Tensor of shape \[16\]"),
])
def test_arrays_that_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "latents.npy", array)
    with pytest.raises(UserError, match=message):
        convert(tmp_path / "latents.npy")


# ---- evolved configurations


def test_published_architectures(tmp_path: Path) -> None:
    """The official file: all are of config-F, what they cost and how far they are stays, and our space reads them."""
    published, file = json.loads(EVOLVED.read_text()), tmp_path / "found.json"
    result = convert(EVOLVED)
    assert result.found == ("11 architectures of config_f at 1024 px",)
    result.write(file)
    written = json.loads(file.read_text())
    assert list(written) == list(published)
    assert all(published[name].items() <= written[name].items() for name in published)
    space = ArchitectureSpace(1024, 2.0)
    assert space.parse_all(str(file)) == space.parse_all(str(EVOLVED))
    assert space.parse(f"{file}:18G").resolution == 256


def test_one_architecture(tmp_path: Path) -> None:
    result = convert(EVOLVED, Choice(name="18G"))
    assert list(result.architectures) == ["18G"]
    with pytest.raises(UserError, match="name=19G is not in the file; its architectures are 15G, 18G"):
        convert(EVOLVED, Choice(name="19G"))


def test_ratios_are_those_of_the_generator_that_is_cut(tmp_path: Path) -> None:
    """A half of config-F is all of config-E: the file alone does not tell which is meant."""
    space, half = ArchitectureSpace(64, 2.0), ArchitectureSpace(64, 2.0).uniform(0.5)
    (tmp_path / "half.json").write_text(json.dumps({"half": {"channels": half.channels, "res": 64}}))
    convert(tmp_path / "half.json").write(tmp_path / "converted.json")
    assert space.parse(str(tmp_path / "converted.json")) == space.parse(str(tmp_path / "half.json"))


@pytest.mark.parametrize(("content", "message"), [
    ({"a": {"channels": [8, 8], "res": 4}}, None),
    ({"channels": [8, 8]}, None),
    ({"a": {"channels": [8, 8, 8]}}, r"a: channels=\[8, 8, 8\] is no list of channel counts, two for each resolution"),
    ({"a": {"channels": []}}, "is no list of channel counts"),
    ({"a": {"channels": [8, 0]}}, "is no list of channel counts"),
    ({"a": {"channels": [8, True]}}, "is no list of channel counts"),
    ({"a": {"channels": "88"}}, "is no list of channel counts"),
    ({"a": {"channels": [600, 8]}}, "more than config-F has"),
    ({"a": {"channels": [8, 8]}, "b": {"channels": [8] * 4}}, r"different generators: \[2, 4\] channel counts"),
    ({"a": {"channels": [8, 8], "res": "big"}}, "a: res=big is no resolution"),
    ({"a": {"channels": [8, 8], "res": 8}}, "resolution 8 is not one of"),
    ({"a": {"channels": [8] * 40}}, "not between 4 and 4096 px"),
    ({"a": 1}, "no known kind: a dictionary of a"), ([1, 2], "no known kind: a list"), ({}, "an empty dictionary"),
])
def test_files_of_architectures(tmp_path: Path, content: Any, message: str | None) -> None:
    file = tmp_path / "file.json"
    file.write_text(json.dumps(content))
    if message is None:
        assert convert(file).architectures
        return
    with pytest.raises(UserError, match=message) as caught:
        convert(file)
    assert str(caught.value).startswith(f"source={file}")


# ---- all of them as files


@pytest.mark.parametrize("content", [boundaries, lambda: {"state_dict": resnet(80)}])
def test_what_is_written_can_be_read(tmp_path: Path, content: Callable[[], Any]) -> None:
    torch.save(content(), tmp_path / "source.pt")
    result = convert(tmp_path / "source.pt")
    result.write(tmp_path / "out.safetensors")
    tensors, header = read_weights(tmp_path / "out.safetensors")
    assert header == result.header
    torch.testing.assert_close(tensors, result.tensors, rtol=0, atol=0)
