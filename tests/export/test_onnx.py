"""ONNX files: what ONNX Runtime makes of them, and what they say of themselves."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from anycost.errors import UserError
from anycost.export import extras
from anycost.export.exporting import Exported, export
from anycost.export.subject import Subject

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def session(path: Path) -> "onnxruntime.InferenceSession":
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def styles(subject_of: Callable[..., Subject], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """W+ in, any number of pictures."""
    return export("onnx", subject_of("0.5@16", "w_plus"), tmp_path_factory.mktemp("onnx") / "styles.onnx")


@pytest.fixture(scope="module")
def latents(subject_of: Callable[..., Subject], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """z in, two pictures."""
    return export("onnx", subject_of("full", "z", batch=2), tmp_path_factory.mktemp("onnx") / "latents.onnx")


def test_styles_of_any_number(styles: Exported, truth: Callable[..., Tensor]) -> None:
    runtime = session(styles.path)
    assert [(one.name, one.shape) for one in runtime.get_inputs()] == [("w", ["batch", 6, 16]), ("noise_strength", [])]
    assert styles.error <= 1e-4
    for batch, strength in ((1, 1.0), (2, 0.0), (5, 0.4)):
        w = normal(batch, 6, 16)
        (image,) = runtime.run(["image"], {"w": w.numpy(), "noise_strength": number(strength)})
        assert image.dtype == np.float32
        assert np.abs(image - truth(w, styles.subject.architecture, "w", strength).numpy()).max() <= 1e-4


def test_latents_of_a_fixed_number(latents: Exported, truth: Callable[..., Tensor]) -> None:
    runtime = session(latents.path)
    inputs = {one.name: one.shape for one in runtime.get_inputs()}
    assert inputs == {"z": [2, 16], "noise_strength": [], "truncation": []}
    assert runtime.get_outputs()[0].shape == [2, 3, 32, 32]
    for psi in (1.0, 0.3):
        z = normal(2, 16)
        (image,) = runtime.run(None, {"z": z.numpy(), "noise_strength": number(1), "truncation": number(psi)})
        assert np.abs(image - truth(z, latents.subject.architecture, "z", 1.0, psi).numpy()).max() <= 1e-4


def test_file_holds_plain_operators_and_says_what_it_is(styles: Exported) -> None:
    model = onnx.load(styles.path)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 20)]
    assert {node.domain for node in model.graph.node} == {""}
    operators = {node.op_type for node in model.graph.node}
    assert {"Conv", "ConvTranspose"} < operators
    assert not operators & {"Loop", "If", "Scan", "RandomNormal", "RandomNormalLike"}
    said = {one.key: one.value for one in model.metadata_props}
    assert said["licence"] == "CC0-1.0"
    assert json.loads(said["architecture"])["resolution"] == 16
    parent = json.loads(said["parent"])
    assert parent["name"] == "tiny"
    assert parent["header"]["card"]["data"] == "faces"
    assert parent["header"]["space"]["resolution"] == 32


def test_half_the_bytes(latents: Exported, truth: Callable[..., Tensor], tmp_path: Path) -> None:
    subject, path = latents.subject, tmp_path / "half.onnx"
    written = export("onnx", subject, path, half=True)
    assert path.stat().st_size < 0.65 * latents.path.stat().st_size
    z = normal(2, 16)
    (image,) = session(path).run(None, {"z": z.numpy(), "noise_strength": number(1), "truncation": number(1)})
    error = np.abs(image - truth(z, subject.architecture, "z").numpy()).max()
    assert image.dtype == np.float32
    assert 1e-5 < error < 2e-2
    assert 1e-5 < written.error < 2e-2


def test_missing_packages_are_named(
    subject_of: Callable[..., Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name.startswith("onnxr") else object())
    with pytest.raises(UserError, match=r'needs onnxruntime, .*pip install -e "\.\[export\]"'):
        export("onnx", subject_of("0.5@16"), tmp_path / "never.onnx")
    assert list(tmp_path.iterdir()) == []
