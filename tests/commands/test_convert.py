"""`anycost convert` as it is typed: what it prints, what it writes, what it refuses."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.interchange.weights import read_weights

EVOLVED = Path(__file__).resolve().parents[1] / "pricing" / "evolved.json"


@pytest.fixture(autouse=True)
def boundaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Editing directions, in a file whose name has everything in it."""
    monkeypatch.chdir(tmp_path)
    torch.save({"00_Beard": torch.ones(1, 16), "01_Smile": torch.zeros(1, 16)}, "my [b]=1, ö.pt")
    np.save("latents.npy", np.ones((18, 16), np.float32))


def refused(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    assert main(["convert", *arguments]) == 2
    assert not list(Path.cwd().glob("out*"))
    return capsys.readouterr().err


def test_directions(capsys: pytest.CaptureFixture) -> None:
    assert main(["convert", "source=my [b]=1, ö.pt", "output=out.safetensors", "name=01_Smile"]) == 0
    digest = hashlib.sha256(Path("my [b]=1, ö.pt").read_bytes()).hexdigest()
    assert capsys.readouterr().out.splitlines() == [
        f"source:   official Anycost boundaries, sha256 {digest[:16]}...",
        "found:    1 direction 01_Smile in W of 16",
        "written:  out.safetensors",
        "licence:  not stated",
        "next:     anycost info weights=out.safetensors",
    ]
    tensors, header = read_weights("out.safetensors")
    assert list(tensors) == ["directions.01_Smile"]
    assert header.card["source_sha256"] == digest


def test_architectures(capsys: pytest.CaptureFixture) -> None:
    assert main(["convert", f"source={EVOLVED}", "output=out/found.json"]) == 0
    assert "use it:   architectures=out/found.json" in capsys.readouterr().out
    assert ArchitectureSpace(1024, 2.0).parse("out/found.json:18G").resolution == 256
    assert json.loads(Path("out/found.json").read_text())["18G"]["macs"] == 17865820089


@pytest.mark.parametrize(("arguments", "message"), [
    (["output=out.safetensors"], "source=... is needed"),
    (["source=nowhere", "output=out.safetensors"], "source=nowhere does not exist"),
    (["source=https://hub.example/g.pkl", "output=out.safetensors"],
     "source=https://hub.example/g.pkl is an address; download the file first, then name it: source=FILE"),
    (["source=.", "output=out.safetensors"], "source=. is not a file"),
    (["source=my [b]=1, ö.pt", "output=out.pt"], "output=out.pt must end in .safetensors: 2 directions in W of 16"),
    ([f"source={EVOLVED}", "output=out.safetensors"], "output=out.safetensors must end in .json: 11 architectures"),
    (["source=my [b]=1, ö.pt", "output=./my [b]=1, ö.pt"], "output=my [b]=1, ö.pt is the source itself; name another"),
    (["source=my [b]=1, ö.pt", "output=out.safetensors", "name=Smile"], "name=Smile is not in the file"),
    (["source=latents.npy", "output=out.safetensors", "name=Smile"],
     "name=Smile: this file is not one of several entries; leave name= away"),
    (["source=my [b]=1, ö.pt", "output=out.safetensors", "weights=raw"],
     "weights=raw: this file holds no generator; leave weights= away"),
    (["source=my [b]=1, ö.pt", "output=out.safetensors", "weights=best"], "weights=best is not one of ema, raw"),
])
def test_refused(capsys: pytest.CaptureFixture, arguments: list[str], message: str) -> None:
    assert message in refused(capsys, *arguments)


def test_our_own_file_needs_no_conversion(capsys: pytest.CaptureFixture) -> None:
    assert main(["convert", "source=latents.npy", "output=ours.safetensors"]) == 0
    message = refused(capsys, "source=ours.safetensors", "output=out.safetensors")
    assert "source=ours.safetensors is a weights file of anycost already; anycost info weights=FILE" in message


def test_a_file_of_something_else(capsys: pytest.CaptureFixture) -> None:
    torch.save({"epoch": 3, "model": {}, "\x1b[31m": 1}, "other.pt")
    message = refused(capsys, "source=other.pt", "output=out.safetensors")
    assert "other.pt is a torch file of no known kind: a dictionary of epoch, model, ?[31m. Known are " in message
