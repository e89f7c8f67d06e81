"""`anycost export` from its arguments to its files and its messages."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import anycost
from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.commands.export import ExportConfig, weights_name
from anycost.export.exporting import ENDINGS
from anycost.interchange.weights import generator_header, generator_tensors, write_weights
from anycost.networks.generator import Generator


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "tiny" / "weights.safetensors"
    path.parent.mkdir()
    torch.manual_seed(0)
    generator = Generator(ArchitectureSpace(16, 0.125, 32, 2), latent_dim=16, mapping_layers=1)
    write_weights(path, generator_tensors(generator), generator_header(generator))
    return path


@pytest.fixture
def export(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: main(["export", f"weights={weights.parent}", "threads=1", *arguments])


def test_report_says_what_was_written_and_measured(
    export: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert export("format=torch_export", "architecture=0.5@8", "output=out/ä [1].pt2", "batch_size=2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["0.5@8 of tiny", "inputs:  w [2, 16], noise_strength [] -> image [2, 3, 8, 8]"]
    assert re.fullmatch(r"agrees: .* plain generator \d\.\de[-+]\d\d, 1e-04 allowed", lines[2])
    assert re.search(r"[\d.]+ ms torch\.export, [\d.]+ ms plain \(batch 2, 1 threads\)", lines[3])
    assert re.fullmatch(r"written: out/ä \[1\]\.pt2, [\d.]+ MB", lines[4])
    program = torch.export.load(tmp_path / "out" / "ä [1].pt2").module()
    assert program(torch.zeros(2, 16), torch.ones(())).shape == (2, 3, 8, 8)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["ä [1].pt2"]


def test_extracted_weights_can_be_used_and_extracted_again(export: Callable[..., int], tmp_path: Path) -> None:
    assert export("format=safetensors", "architecture=0.5", "output=half.safetensors") == 0
    assert main(["export", "weights=half.safetensors", "threads=1", "format=safetensors", "architecture=full@8",
                 "output=small.safetensors"]) == 0  # fmt: skip
    assert anycost.load(tmp_path / "small.safetensors")(torch.zeros(1, 16), latents_in="w").shape == (1, 3, 8, 8)


@pytest.mark.parametrize(("arguments", "message"), [
    (["output=a.onnx", "format=onx"], "format=onx is not one of onnx, torch_export"),
    (["output=a.onnx", "architecture=0.6x"], "architecture=0.6x is not understood"),
    (["output=a.onnx", "architecture=1@64"], "resolution 64 is not one of"),
    (["output=a.pt2"], "output=a.pt2: format=onnx writes a .onnx file, for example a.onnx"),
    (["output=a", "format=aoti"], "output=a: format=aoti writes a .pt2 file"),
    (["output=folder"], "output=folder is a folder; format=onnx writes a file: output=folder/NAME.onnx"),
    (["output=file", "format=web"], "output=file is a file; format=web writes a folder"),
    (["output=folder", "format=web"], "output=folder has other files in it"),
    (["output=page", "format=web", "onnxruntime_web=folder"], "onnxruntime_web=folder lacks dist/ort.wasm"),
    (["output=page", "format=web", "latents_in=z"], "latents_in= means nothing to format=web"),
    (["output=page", "format=web", "seeds=10001"], "seeds=10001: a page carries the styles of each"),
    (["output=a.onnx", "seeds=9"], "seeds= means nothing to format=onnx; it is for web"),
    (["output=a.pt2", "format=aoti", "dtype=float16"], "dtype= means nothing to format=aoti; it is for onnx, web"),
    (["output=a.onnx", "batch_size=0"], "batch_size=0 is neither dynamic nor a whole number from 1 up"),
    (["output=a.onnx", "batch_size=9999999999"], "batch_size=9999999999: the comparison makes as many; 1000 are the"),
    (["output=a.onnx", "batch_size=many"], "batch_size=many is neither dynamic"),
    (["output=file/a.safetensors", "format=safetensors"], "cannot write file/a.safetensors"),
    (["format=onnx"], "output=... is needed"),
])  # fmt: skip
def test_mistakes_are_explained_and_nothing_is_left(
    export: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "photo.jpg").write_text("mine")
    assert export(*arguments) == 2
    assert message in capsys.readouterr().err
    assert {str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")} == {"file", "folder", "folder/photo.jpg"}


def test_the_weights_themselves_are_not_written_over(
    weights: Path, export: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = weights.read_bytes()
    assert export("format=safetensors", "architecture=0.5", f"output={weights}") == 2
    assert "is the weights file itself" in capsys.readouterr().err
    assert weights.read_bytes() == before


def test_options_name_the_formats_that_exist() -> None:
    assert ExportConfig.__dataclass_fields__["format"].metadata["choices"] == tuple(ENDINGS)


@pytest.mark.parametrize(("asked", "file", "name"), [
    ("runs/pipeline-faces-r1", "runs/pipeline-faces-r1/ada_ch/weights.safetensors", "pipeline-faces-r1/ada_ch"),
    ("runs/ada_ch-faces-r2", "runs/ada_ch-faces-r2/weights.safetensors", "ada_ch-faces-r2"),
    ("downloads/ffhq.safetensors", "downloads/ffhq.safetensors", "ffhq"),
    ("hf://owner/faces", "cache/snapshots/0123/weights.safetensors", "owner/faces"),
])  # fmt: skip
def test_weights_are_named_without_the_folders_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, file: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).parent.mkdir(parents=True)
    Path(file).touch()
    assert weights_name(asked, Path(file)) == name
