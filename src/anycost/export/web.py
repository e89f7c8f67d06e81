"""A folder with a page that runs a sub-generator in the browser, from a disk or from any server of files.

A page that was opened from a disk may load scripts, but may not fetch: so runtime, weights and styles come as scripts
that hold their bytes as text (gzip, then base64). Nothing else is ever requested.
"""

import base64
import gzip
import json
import os
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from anycost.errors import UserError
from anycost.export.npm import LIBRARY, WASM, version_of
from anycost.export.subject import Subject
from anycost.files import explained_errors
from anycost.interchange.card import amount
from anycost.pricing.price_list import PriceList
from anycost.sampling import seeded_latents

_STATIC = ("index.html", "style.css", "app.js")
_MARK = "anycost.card = "
_COARSE_STYLES = 4  # of 4 and 8 px


def check_folder(folder: Path) -> None:
    """Raises `UserError` where something lies that is not a page made by this command."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output={folder} is a file; format=web writes a folder, name another")
    if folder.is_dir() and any(folder.iterdir()) and not _is_page(folder):
        raise UserError(f"output={folder} has other files in it; format=web writes a folder of its own, name another")


def write_page(subject: Subject, model: bytes, seeds: int, package: Path, folder: Path) -> None:
    """Write the page of `model` (ONNX, `latents_in=w_plus`, batch 1): whole, or not at all.

    Args:
        seeds: the persons 0 .. seeds - 1 of `anycost generate` can be called up; their styles are shipped.
        package: unpacked onnxruntime-web.
    """
    source = files("anycost.export") / "page"
    content = {file: (source / file).read_bytes() for file in _STATIC}
    content["runtime.js"] = _runtime_script(package, (source / "onnxruntime_licence.txt").read_text(encoding="utf-8"))
    card = page_card(subject, seeds, len(model), version_of(package))
    packed = _packed({"model.onnx": model, "styles": _styles(subject, seeds)})
    content["generator.js"] = f"{_MARK}{json.dumps(card, indent=2)};\n{packed}".encode()
    with explained_errors(folder):
        _write_folder(folder, content)


def page_card(subject: Subject, seeds: int, size: int, runtime: str) -> dict[str, Any]:
    """What the page needs to know, and the facts that it shows."""
    generator, architecture, trained = subject.generator, subject.architecture, subject.header.card
    resolution = architecture.resolution
    prices = PriceList(generator.space, generator.latent_dim, len(generator.mapping.layers))
    known = [f"{key} {trained[key]}" for key in ("stage", "data", "images") if key in trained]
    return {
        "name": subject.name,
        "about": f"A generator of {resolution} × {resolution} px pictures that runs in the browser.",
        "resolution": resolution,
        "latent_dim": generator.latent_dim,
        "num_styles": 2 * (resolution.bit_length() - 1) - 2,
        "coarse_styles": _COARSE_STYLES,
        "seeds": seeds,
        "facts": {
            "Weights": subject.name,
            "Training": ", ".join(known) or "not stated",
            "Architecture": subject.label,
            "Multiply-adds": amount(prices.price(architecture).macs),
            "Model": f"{size / 1e6:.1f} MB",
            "Licence": subject.header.licence,
            "Runtime": f"ONNX Runtime Web {runtime}",
        },
    }


@torch.no_grad()
def _styles(subject: Subject, seeds: int) -> bytes:
    """float32: where truncation pulls to `[latent_dim]`, then w of the seeds `[seeds, latent_dim]`."""
    generator = subject.generator
    w = generator.mapping(seeded_latents(generator, range(seeds)))
    return torch.cat([subject.center[None], w]).float().numpy().tobytes()


def _runtime_script(package: Path, licence: str) -> bytes:
    packed = _packed({"ort.mjs": (package / LIBRARY).read_bytes(), "ort.wasm": (package / WASM).read_bytes()})
    return f"/*\nONNX Runtime Web {version_of(package)}\n\n{licence}*/\n{packed}".encode()


def _packed(content: Mapping[str, bytes]) -> str:
    lines = []
    for name, value in content.items():
        text = base64.b64encode(gzip.compress(value, mtime=0)).decode()
        lines.append(f'anycost.packed["{name}"] = "{text}";\n')
    return "".join(lines)


def _is_page(folder: Path) -> bool:
    script = folder / "generator.js"
    if not script.is_file():
        return False
    with script.open("rb") as file:
        return file.read(len(_MARK)) == _MARK.encode()


def _write_folder(folder: Path, content: Mapping[str, bytes]) -> None:
    """All files beside `folder` first; then the whole takes its place, or each file its predecessor's."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent) as name:
        aside = Path(name) / "page"
        aside.mkdir()
        for file, value in content.items():
            (aside / file).write_bytes(value)
        if _is_page(folder):
            for file in content:
                os.replace(aside / file, folder / file)
        else:  # nothing is there, or an empty folder
            os.replace(aside, folder)
