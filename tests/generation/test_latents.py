"""Latents from files: every form arrives untouched, and what does not fit is refused before anything is drawn."""

import io
import random
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from anycost.errors import UserError
from anycost.generation.latents import latent_styles, read_latents
from anycost.generation.styles import Truncation
from anycost.interchange.weights import Header, write_weights
from anycost.networks.generator import Generator

RNG = np.random.default_rng(0)


def saved(tmp_path: Path, array: np.ndarray) -> Path:
    np.save(tmp_path / "latents.npy", array)
    return tmp_path / "latents.npy"


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2"])
def test_w_plus_passes_through_untouched(tmp_path: Path, generator: Generator, kind: str) -> None:
    array = RNG.normal(size=(5, 8, 16)).astype(kind)
    styles = latent_styles(generator, read_latents(saved(tmp_path, array), generator), "w")
    assert len(styles) == 5
    assert styles.names[4] == "latent0004"
    np.testing.assert_array_equal(styles.all().numpy(), array.astype(np.float32))
    np.testing.assert_array_equal(styles.batch(3, 5).numpy(), array[3:5].astype(np.float32))


@pytest.mark.parametrize(("shape", "people"), [
    ((5, 16), 5), ((5, 1, 16), 5), ((5, 8, 16), 5), ((16,), 1), ((1, 16), 1), ((1, 8, 16), 1),
    ((8, 16), 1),  # a projected face of the official code
])  # fmt: skip
def test_forms_in_w(tmp_path: Path, generator: Generator, shape: tuple[int, ...], people: int) -> None:
    array = RNG.normal(size=shape).astype(np.float32)
    w_plus = latent_styles(generator, read_latents(saved(tmp_path, array), generator), "w").all().numpy()
    assert w_plus.shape == (people, 8, 16)
    expected = array.reshape(people, -1, 16)
    np.testing.assert_array_equal(w_plus, np.broadcast_to(expected, w_plus.shape))


def test_as_many_codes_as_layers_may_mean_two_things(
    tmp_path: Path, generator: Generator, caplog: pytest.LogCaptureFixture
) -> None:
    """What is chosen is said, with the form that means the other."""
    array = RNG.normal(size=(8, 16)).astype(np.float32)
    read_latents(saved(tmp_path, array), generator)
    assert "(8, 16) is read as one W+ code; for 8 codes of w give (8, 1, 16)" in caplog.text
    caplog.clear()
    read_latents(saved(tmp_path, array[:, None]), generator)
    read_latents(saved(tmp_path, array), generator, "z")
    assert not caplog.text


def test_z_is_mapped(tmp_path: Path, generator: Generator) -> None:
    """Also eight z, which in w would be one face."""
    array = RNG.normal(size=(8, 16)).astype(np.float32)
    styles = latent_styles(generator, read_latents(saved(tmp_path, array), generator, "z"), "z")
    torch.testing.assert_close(styles.all(), generator.styles(torch.from_numpy(array)))


def test_truncation_acts_on_w_too(tmp_path: Path, generator: Generator) -> None:
    array = RNG.normal(size=(3, 8, 16))
    codes = read_latents(saved(tmp_path, array), generator)
    mean = generator.truncation_mean.double().numpy()
    truncated = latent_styles(generator, codes, "w", Truncation.of(generator, 0.7)).all()
    np.testing.assert_allclose(truncated.numpy(), mean + 0.7 * (array - mean), rtol=1e-5, atol=1e-6)
    partly = latent_styles(generator, codes, "w", Truncation.of(generator, 0.7, cutoff=3)).all().numpy()
    np.testing.assert_array_equal(partly[:, :3], truncated[:, :3].numpy())
    np.testing.assert_array_equal(partly[:, 3:], array[:, 3:].astype(np.float32))


def test_own_files(tmp_path: Path, generator: Generator) -> None:
    codes = torch.randn(2, 8, 16, dtype=torch.float64)
    write_weights(tmp_path / "l.safetensors", {"latents": codes}, Header("latents"))
    styles = latent_styles(generator, read_latents(tmp_path / "l.safetensors", generator), "w")
    torch.testing.assert_close(styles.all(), codes.float())


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_a_face_that_nvidia_projected(tmp_path: Path, generator: Generator, write: Callable[..., None]) -> None:
    face = RNG.normal(size=(1, 8, 16)).astype(np.float32)
    write(tmp_path / "projected_w.npz", w=face)
    np.testing.assert_array_equal(read_latents(tmp_path / "projected_w.npz", generator), face)


def test_archives_are_data_of_a_limited_size(
    tmp_path: Path, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "l.npz", w=np.array([[print] * 16]))  # a pickle inside
    with pytest.raises(UserError, match="is not a whole archive of an array w of numbers: Object arrays cannot be"):
        read_latents(tmp_path / "l.npz", generator)
    np.savez_compressed(tmp_path / "l.npz", w=np.zeros((1000, 8, 16), np.float32))
    monkeypatch.setattr("anycost.generation.latents._LARGEST_ARRAY", 500_000)
    with pytest.raises(UserError, match="its array w has 512128 bytes; save so many latents as FILE"):
        read_latents(tmp_path / "l.npz", generator)


def test_a_code_for_each_layer_is_not_z(tmp_path: Path, generator: Generator) -> None:
    with pytest.raises(UserError, match=r"\(3, 8, 16\), a code for each layer: that is W\+, use latents_in=w"):
        read_latents(saved(tmp_path, np.zeros((3, 8, 16))), generator, "z")


@pytest.mark.parametrize(("array", "message"), [
    (np.zeros((4, 15)), "has the shape (4, 15); this generator takes (N, 16), (N, 8, 16), or (8, 16)"),
    (np.zeros((4, 2, 16)), "has the shape (4, 2, 16)"),
    (np.zeros((1, 4, 8, 16)), "has the shape (1, 4, 8, 16)"),
    (np.zeros(()), "has the shape ()"),
    (np.zeros((0, 16)), "it is empty"),
    (np.zeros((4, 16), int), "holds int64; floating-point numbers are needed"),
    (np.zeros((4, 16), complex), "holds complex128"),
    (np.array([["a"] * 16]), "holds <U1"),
    (np.array([[1.0] * 15 + [np.nan]] * 2), "not finite in float32, first in latent 0"),
    (np.concatenate([np.zeros((1500, 16)), np.full((1, 16), 1e300)]), "not finite in float32, first in latent 1500"),
    (np.array([{}] * 16), "is not a whole .npy file of numbers"),
])  # fmt: skip
def test_arrays_that_do_not_fit(tmp_path: Path, generator: Generator, array: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read_latents(saved(tmp_path, array), generator)


def test_damaged_files_are_errors(
    tmp_path: Path, generator: Generator, mutate: Callable[[bytes, random.Random], bytes]
) -> None:
    buffer = io.BytesIO()
    np.save(buffer, RNG.normal(size=(4, 16)).astype(np.float32))
    whole, path, rng = buffer.getvalue(), tmp_path / "l.npy", random.Random(0)
    for content in (*(whole[:cut] for cut in range(0, len(whole) - 1, 7)), b"\x80\x04cos\nsystem\n", b"PK\x03\x04",
                    whole.replace(b"(4, 16)", b"(9**9,)"), whole.replace(b"(4, 16)", b"(4, -1)")):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(UserError, match="latents="):
            read_latents(path, generator)
    for _ in range(700):
        path.write_bytes(mutate(whole, rng))
        with suppress(UserError):
            assert np.isfinite(read_latents(path, generator)).all()


def test_files_that_are_none(tmp_path: Path, generator: Generator) -> None:
    with pytest.raises(UserError, match="is no file; give FILE"):
        read_latents(tmp_path / "missing.npy", generator)
    np.savez(tmp_path / "l.npz", z=np.zeros((1, 8, 16)))
    with pytest.raises(UserError, match=r"l\.npz is an archive without the array w that NVIDIA's projector writes"):
        read_latents(tmp_path / "l.npz", generator)
    (tmp_path / "l.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(UserError, match=r"is not a whole \.npy file"):
        read_latents(tmp_path / "l.npy", generator)
    write_weights(tmp_path / "w.safetensors", {"w": torch.zeros(1, 16)}, Header("directions"))
    with pytest.raises(UserError, match="is a file of kind directions"):
        read_latents(tmp_path / "w.safetensors", generator)
