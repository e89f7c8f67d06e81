"""The folder of a page: what its files hold, where it may be written, and how ONNX Runtime Web is got."""

import base64
import gzip
import io
import json
import re
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anycost.errors import UserError
from anycost.export.exporting import Page, export
from anycost.export.npm import LIBRARY, WASM, onnxruntime_web
from anycost.export.subject import Subject
from anycost.export.web import write_page
from anycost.sampling import seeded_latents

FILES = {"index.html", "style.css", "app.js", "runtime.js", "generator.js"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an unpacked onnxruntime-web looks like from outside."""
    folder = tmp_path_factory.mktemp("npm") / "package"
    (folder / "dist").mkdir(parents=True)
    (folder / LIBRARY).write_bytes(b"/* the library */")
    (folder / WASM).write_bytes(bytes(range(256)) * 40)
    (folder / "package.json").write_text('{"version": "1.2.3"}')
    return folder


def packed(script: Path) -> dict[str, bytes]:
    found = re.findall(r'^anycost\.packed\["([^"]+)"\] = "([^"]+)";$', script.read_text(), re.MULTILINE)
    return {name: gzip.decompress(base64.b64decode(text)) for name, text in found}


def card(script: Path) -> dict:
    text = script.read_text()
    return json.loads(text[len("anycost.card = ") : text.index(";\nanycost.packed")])


def test_page_holds_everything_it_needs(subject_of: Callable[..., Subject], package: Path, tmp_path: Path) -> None:
    subject, folder = subject_of("0.5@16", "w_plus", 1), tmp_path / "page"
    write_page(subject, b"the model", 5, package, folder)
    assert {file.name for file in folder.iterdir()} == FILES
    assert packed(folder / "runtime.js") == {
        "ort.mjs": (package / LIBRARY).read_bytes(), "ort.wasm": (package / WASM).read_bytes()
    }  # fmt: skip
    assert "Copyright (c) Microsoft Corporation" in (folder / "runtime.js").read_text()
    content = packed(folder / "generator.js")
    assert content["model.onnx"] == b"the model"
    styles = np.frombuffer(content["styles"], np.float32).reshape(6, 16)
    w = subject.generator.mapping(seeded_latents(subject.generator, range(5)))
    np.testing.assert_array_equal(styles[0], subject.generator.truncation_mean)
    np.testing.assert_array_equal(styles[1:], w)
    known = card(folder / "generator.js")
    assert (known["resolution"], known["num_styles"], known["latent_dim"], known["seeds"]) == (16, 6, 16, 5)
    assert known["facts"]["Licence"] == "CC0-1.0"
    assert known["facts"]["Runtime"] == "ONNX Runtime Web 1.2.3"


def test_scripts_of_the_page_name_no_other_host() -> None:
    page = Path(__file__).resolve().parents[2] / "src/anycost/export/page"
    texts = [(page / name).read_text(encoding="utf-8") for name in ("index.html", "style.css", "app.js")]
    assert not [hit for text in texts for hit in re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]+", text)]
    assert "default-src 'none'" in texts[0]


def test_page_of_a_card_with_markup(subject_of: Callable[..., Subject], package: Path, tmp_path: Path) -> None:
    """Cards come from files of others: whatever they say stays a text."""
    subject = subject_of("0.5@16", "w_plus", 1)
    hostile = '";\nalert(1)//</script><img src=x onerror=alert(1)>'
    subject.header.card["data"] = hostile
    try:
        write_page(subject, b"", 1, package, tmp_path / "page")
    finally:
        subject.header.card["data"] = "faces"
    assert hostile in card(tmp_path / "page" / "generator.js")["facts"]["Training"]
    assert hostile not in (tmp_path / "page" / "generator.js").read_text()


def test_pages_are_replaced_and_other_folders_are_not(
    subject_of: Callable[..., Subject], package: Path, tmp_path: Path
) -> None:
    subject, page = subject_of("0.5@16", "w_plus", 1), Page(3, tmp_path, str(package))
    folder, photos, file = tmp_path / "page", tmp_path / "photos", tmp_path / "page.html"
    write_page(subject, b"an old model", 5, package, folder)
    for empty in (tmp_path / "empty", photos):
        empty.mkdir()
    (photos / "generator.js").write_text("anycost is not all I do")
    file.write_text("")
    write_page(subject, b"a new model", 3, package, folder)
    write_page(subject, b"a new model", 3, package, tmp_path / "empty")
    assert {file.name for file in (tmp_path / "empty").iterdir()} == FILES
    assert {file.name for file in folder.iterdir()} == FILES
    assert packed(folder / "generator.js")["model.onnx"] == b"a new model"
    for output, message in ((photos, "has other files in it"), (file, "is a file")):
        with pytest.raises(UserError, match=f"output={output} {message}"):
            export("web", subject, output, page=page)
    assert {one.name for one in tmp_path.iterdir()} == {"page", "empty", "photos", "page.html"}
    assert [one.name for one in photos.iterdir()] == ["generator.js"]


# ---- the npm package


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a program the npm of this test; returns the cache folder to fill."""

    def become(script: str) -> Path:
        program = tmp_path / "bin" / "npm"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        return tmp_path / "cache"

    return become


def test_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no npm .*npm pack onnxruntime-web@.*onnxruntime_web=FOLDER"):
        onnxruntime_web(None, tmp_path / "cache")


def test_npm_without_network(npm: Callable[[str], Path]) -> None:
    cache = npm("echo 'npm notice' >&2; echo 'npm error code ENOTFOUND' >&2; exit 1")
    with pytest.raises(UserError, match=r"npm error code ENOTFOUND.*look after the network"):
        onnxruntime_web(None, cache)
    assert not cache.exists()


def test_another_package_than_the_one_known(npm: Callable[[str], Path], tmp_path: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("package/package.json"))
    (tmp_path / "other.tgz").write_bytes(archive.getvalue())
    cache = npm(f'cp "{tmp_path}/other.tgz" "$4/onnxruntime-web.tgz"')
    with pytest.raises(UserError, match=r"delivered another onnxruntime-web.*instead of sha512-"):
        onnxruntime_web(None, cache)
    assert not cache.exists()


def test_a_folder_that_is_no_package(package: Path, tmp_path: Path) -> None:
    assert onnxruntime_web(str(package), tmp_path / "cache") == package
    with pytest.raises(UserError, match=f"onnxruntime_web={tmp_path} lacks {re.escape(LIBRARY)}"):
        onnxruntime_web(str(tmp_path), tmp_path / "cache")
