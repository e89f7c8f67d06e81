"""`anycost info` tells what a file holds, whatever kind it is of, in words and as JSON."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.interchange.header import Header
from anycost.interchange.weights import generator_header, generator_tensors, read_weights, write_weights
from anycost.networks.discriminator import Discriminator
from anycost.networks.embedded import SHIPPED
from anycost.networks.generator import Generator
from anycost.pricing.price_list import PriceList

SPACE = ArchitectureSpace(16, 0.0625, 32, 2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    generator = Generator(SPACE, latent_dim=8, mapping_layers=1)
    generator.truncation_mean = torch.zeros(8)
    discriminator = {f"discriminator.{name}": x for name, x in Discriminator(SPACE).state_dict().items()}
    card = {"stage": "ada_ch", "data": "faces", "images": 4000, "weights": "ema", "note": "[red]x[/] \x1b[2J"}
    path = tmp_path / "weights.safetensors"
    write_weights(path, generator_tensors(generator) | discriminator, generator_header(generator, "training", card))
    return path


def test_words(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", f"weights={file}"]) == 0
    printed = capsys.readouterr().out
    for piece in (
        f"{file} (", hashlib.sha256(file.read_bytes()).hexdigest(), "training, format 2", "licence   not stated",
        "stage: ada_ch", "weights: ema", "note: [red]x[/] ?[2J", "generator: ", "discriminator: ",
        "truncation_mean: 1 tensor, 8 numbers, float32", "8, 16 px; ratios 0.25, 0.5, 0.75, 1",
        "4 px 32, 8 px 32, 16 px 32", "8 numbers, 1 mapping layers, 6 styles", "\nfull ", "\n0.25 ", "\nfull@8 ",
    ):  # fmt: skip
        assert piece in printed


def test_json_has_all_of_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", f"weights={file}", "json=true"]) == 0
    found = json.loads(capsys.readouterr().out)
    tensors, header = read_weights(file)
    assert {name: found[name] for name in header.__dict__} == header.__dict__
    assert found["bytes"] == file.stat().st_size
    assert found["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert found["full_channels"] == list(SPACE.full_channels)
    assert found["resolutions"] == [8, 16]
    assert found["num_architectures"] == len(list(SPACE.enumerate()))
    assert found["not_finite"] == []
    for part in ("generator", "discriminator", "truncation_mean"):
        members = [x for name, x in tensors.items() if name.startswith(part)]
        assert found["contents"][part] == {
            "tensors": len(members), "numbers": sum(x.numel() for x in members),
            "bytes": sum(x.nbytes for x in members), "types": ["float32"],
        }  # fmt: skip


def test_prices_are_those_of_the_price_list(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    price_list = PriceList(SPACE, 8, 1)
    for argument in ([], ["architectures=[full,0.25@8]"]):
        main(["info", f"weights={file}", "json=true", *argument])
        prices = json.loads(capsys.readouterr().out)["prices"]
        assert set(prices) == ({"full", "0.25@8"} if argument else set(map(SPACE.label, uniform())))
        for name, price in prices.items():
            expected = price_list.price(SPACE.parse(name))
            assert price == {key: getattr(expected, key) for key in ("macs", "macs_paper", "parameters")}


def uniform() -> list:
    return [SPACE.uniform(ratio, resolution) for ratio in SPACE.ratios for resolution in SPACE.resolutions]


def test_the_largest_comes_first(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", f"weights={file}", "json=true"])
    macs = [price["macs"] for price in json.loads(capsys.readouterr().out)["prices"].values()]
    assert macs[0] == max(macs)
    assert macs[-1] == min(macs)


def test_other_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", f"weights={SHIPPED}"]) == 0
    printed = capsys.readouterr().out
    for piece in ("embedded, format 1", "licence   MIT", "width: ", "levels: 16 tensors", "float16"):
        assert piece in printed
    assert "architecture" not in printed
    path = tmp_path / "found.safetensors"
    write_weights(path, {"a": torch.ones(2, 6, 8), "seeds": torch.arange(2)}, Header("latents"))
    assert main(["info", f"weights={path}"]) == 0
    printed = capsys.readouterr().out
    assert "latents, format 2" in printed
    assert "seeds: 1 tensor, 2 numbers, int64" in printed


def test_a_training_that_went_wrong_can_be_looked_at(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors, header = read_weights(file)
    tensors["generator.constant"][:] = float("nan")
    write_weights(file, tensors, header)
    assert main(["info", f"weights={file}"]) == 0
    assert "1 tensors are not finite: ['generator.constant']" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "message"), [
    (["weights=nowhere"], "weights=nowhere does not exist"), ([], "weights=... is needed"),
    (["weights={file}", "architectures=0.6"], "architecture=0.6: ratio 0.6 is not one of"),
    (["weights={file}", "architectures=full@32"], "resolution 32 is not one of"),
    ([f"weights={SHIPPED}", "architectures=full"], "holds no generator (kind=embedded)"),
    (["weights={text}"], "is not a whole safetensors file"),
])
def test_errors(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "text").write_text("hello, this is no such file")
    filled = [one.format(file=file, text=tmp_path / "text") for one in arguments]
    assert main(["info", *filled]) == 2
    assert message in capsys.readouterr().err
