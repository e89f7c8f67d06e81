"""PyTorch's formats and extracted weights: read back as their users do, they render what the generator renders."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import anycost
from anycost.errors import UserError
from anycost.export import exporting
from anycost.export.exporting import export
from anycost.export.subject import Subject
from anycost.interchange.weights import read_header


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


def test_program_of_any_batch(
    subject_of: Callable[..., Subject], truth: Callable[..., Tensor], tmp_path: Path
) -> None:
    subject, path = subject_of("0.5", "z"), tmp_path / "program.pt2"
    assert export("torch_export", subject, path).error <= 1e-4
    said = {"anycost.json": ""}
    program = torch.export.load(path, extra_files=said)
    assert json.loads(said["anycost.json"])["architecture"]["label"] == "0.5"
    for batch in (1, 4):
        z = normal(batch, 16)
        image = program.module()(z, torch.tensor(0.5), torch.tensor(0.7))
        torch.testing.assert_close(
            image.double(), truth(z, subject.architecture, "z", 0.5, 0.7), rtol=1e-5, atol=1e-4
        )


@pytest.mark.slow
def test_compiled_package(
    subject_of: Callable[..., Subject], truth: Callable[..., Tensor], tmp_path: Path
) -> None:
    subject, path = subject_of("0.5@16"), tmp_path / "package.pt2"
    assert export("aoti", subject, path).error <= 1e-4
    compiled = torch._inductor.aoti_load_package(str(path))
    assert json.loads(compiled.get_metadata()["anycost.json"])["signature"].startswith("w [batch, 16], noise_strength")
    for batch in (1, 5):
        w = normal(batch, 16)
        image = compiled(w, torch.tensor(1.0))
        torch.testing.assert_close(image.double(), truth(w, subject.architecture, "w"), rtol=1e-5, atol=1e-4)


def test_a_package_needs_a_compiler(subject_of: Callable[..., Subject], tmp_path: Path) -> None:
    from torch._inductor import config

    # By PyTorch's own means: an option that monkeypatch puts back is hidden from every later compilation.
    without = config.patch({"cpp.cxx": ("no-such-compiler",)})
    with without, pytest.raises(UserError, match=r"finds no C\+\+ compiler.*\$CXX"):
        export("aoti", subject_of("0.5@16"), tmp_path / "never.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_differs_is_not_left(
    subject_of: Callable[..., Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "kept.safetensors", exporting.extracted_run
    path.write_text("what was there before")
    monkeypatch.setattr(exporting, "extracted_run", lambda file: lambda inputs: real(file)(inputs) + 1e-3)
    with pytest.raises(UserError, match=r"differs from the plain generator by 0\.001"):
        export("safetensors", subject_of("0.5@16"), path)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.safetensors"]
    assert path.read_text() == "what was there before"


@pytest.mark.parametrize("architecture", ["0.25@16", "full"])
def test_extracted_weights(
    subject_of: Callable[..., Subject], truth: Callable[..., Tensor], tmp_path: Path, architecture: str
) -> None:
    subject, path = subject_of(architecture), tmp_path / "small.safetensors"
    assert export("safetensors", subject, path).error <= 1e-4
    small, header = anycost.load(path), read_header(path)
    assert header.licence == "CC0-1.0"
    assert header.card["data"] == "faces"
    assert header.card["extracted"] == {
        "architecture": architecture, "parent": "tiny", "parent_identity": "0" * 16
    }  # fmt: skip
    assert small.space.full_channels == subject.architecture.key[1]
    z = normal(2, 16)
    image = small(z, truncation=0.5, truncation_mean=small.truncation_center())
    torch.testing.assert_close(image.double(), truth(z, subject.architecture, "z", 1.0, 0.5), rtol=1e-5, atol=1e-4)
