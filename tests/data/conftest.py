"""Small data sets that the tests of this folder share."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def picture(k: int, size: tuple[int, int] = (48, 48)) -> Image.Image:
    """Smooth structure plus noise, different for every `k`."""
    rng = np.random.default_rng(k)
    width, height = size
    x, y = np.linspace(0, 6, width), np.linspace(0, 6, height)[:, None]
    waves = np.stack([np.sin(x * (1 + c) + k) * np.cos(y + c * k) for c in range(3)], axis=-1)
    noise = rng.normal(0, 20, (height, width, 3))
    return Image.fromarray(np.clip(128 + 90 * waves + noise, 0, 255).astype(np.uint8))


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.fixture(name="picture")
def picture_fixture() -> Callable[..., Image.Image]:
    return picture


@pytest.fixture(name="encode")
def encode_fixture() -> Callable[..., bytes]:
    return encode


@pytest.fixture
def files() -> dict[str, bytes]:
    """Twelve good pictures in two folders, as a file list."""
    return {f"{'ab'[k % 2]}/{k}.png": encode(picture(k)) for k in range(12)}


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    def make(files: dict[str, bytes], name: str = "pictures") -> Path:
        for path, data in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return tmp_path / name

    return make


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[..., Path]:
    def make(files: dict[str, bytes], name: str = "pictures.zip", labels: object = None) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path, data in files.items():
                archive.writestr(path, data)
            if labels is not None:
                archive.writestr("dataset.json", json.dumps({"labels": labels}))
        return tmp_path / name

    return make


@pytest.fixture
def make_lmdb(tmp_path: Path) -> Callable[..., Path]:
    lmdb = pytest.importorskip("lmdb")

    def make(files: dict[str, bytes], name: str = "pictures_lmdb") -> Path:
        with lmdb.open(str(tmp_path / name), map_size=1 << 26) as environment, environment.begin(write=True) as write:
            for path, data in files.items():
                write.put(path.encode(), data)
        return tmp_path / name

    return make
