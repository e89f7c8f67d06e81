"""Weights go to a hub and come back, whole or not at all (`server` is the stand-in of `conftest.py`)."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import anycost
from anycost.architecture import ArchitectureSpace
from anycost.commands import main
from anycost.errors import UserError
from anycost.interchange import hub
from anycost.interchange.hub import FILE, MANIFEST, HubName, hub_name, pull
from anycost.interchange.weights import generator_header, generator_tensors, read_header, write_weights
from anycost.networks.generator import Generator

StandIn = Any  # of conftest.py, which cannot be imported


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    generator = Generator(ArchitectureSpace(16, 0.0625, 32, 2), latent_dim=8, mapping_layers=1)
    file = tmp_path / "mine.safetensors"
    header = generator_header(generator, card={"stage": "ada_ch", "data": "faces", "weights": "ema"}, licence="MIT")
    write_weights(file, generator_tensors(generator), header)
    return file


def pushed(weights: Path, *more: str) -> int:
    return main(["push", f"weights={weights}", "repo=owner/name", "samples=0", *more])


def test_pushed_weights_are_loaded_by_name(
    server: StandIn, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", f"weights={weights}", "repo=owner/name", "samples=2", "architectures=[full,0.5]"]) == 0
    assert f"pushed: {server.endpoint}/owner/name/commit/" in capsys.readouterr().out
    files = server.files("owner/name")
    assert set(files) == {".gitattributes", FILE, MANIFEST, "README.md", "samples.png"}
    assert files[FILE] == weights.read_bytes()
    assert files["samples.png"].startswith(b"\x89PNG")
    z = torch.randn(2, 8)
    expected = anycost.load(weights)(z)
    for name in ("owner/name", "owner/name@main", "hf://owner/name", f"hf://owner/name@main/{FILE}"):
        torch.testing.assert_close(anycost.load(name)(z), expected, rtol=0, atol=0)
    assert main(["info", "weights=hf://owner/name"]) == 0


def test_the_manifest_states_the_hash_of_every_file(server: StandIn, weights: Path) -> None:
    pushed(weights)
    files = server.files("owner/name")
    stated = json.loads(files[MANIFEST])["files"]
    assert set(stated) == {FILE, "README.md"}
    for name, entry in stated.items():
        assert entry == {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}


def test_pull_prints_where_the_file_lies(
    server: StandIn, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(weights)
    capsys.readouterr()
    assert main(["pull", "name=owner/name", "output=copy/of it.safetensors"]) == 0
    assert (tmp_path / "copy/of it.safetensors").read_bytes() == weights.read_bytes()
    assert main(["pull", "name=owner/name"]) == 0
    where = capsys.readouterr().out.splitlines()[-2].removeprefix("weights: ")
    assert Path(where).read_bytes() == weights.read_bytes()
    assert str(tmp_path / "cache") in where


def test_the_licence_can_be_set_when_it_is_pushed(
    server: StandIn, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = weights.read_bytes()
    pushed(weights, "licence=CC-BY-NC-4.0")
    (tmp_path / "there.safetensors").write_bytes(server.files("owner/name")[FILE])
    assert read_header(tmp_path / "there.safetensors").licence == "CC-BY-NC-4.0"
    assert "\nlicense: cc-by-nc-4.0\n" in server.files("owner/name")["README.md"].decode()
    assert weights.read_bytes() == before
    assert "no licence" not in capsys.readouterr().err
    generator = anycost.load(weights)
    write_weights(weights, generator_tensors(generator), generator_header(generator))
    pushed(weights)
    assert "no licence is stated" in capsys.readouterr().err
    assert "license" not in server.files("owner/name")["README.md"].decode().split("---")[1]


def test_private_repositories_and_branches(server: StandIn, weights: Path) -> None:
    pushed(weights, "private=true", "revision=candidate")
    assert server.private["owner/name"]
    assert FILE in server.files("owner/name", "candidate")
    assert 'anycost.load("owner/name@candidate")' in server.files("owner/name", "candidate")["README.md"].decode()
    assert FILE not in server.files("owner/name", "main")
    assert pull("owner/name@candidate").read_bytes() == weights.read_bytes()


def test_the_same_again_makes_no_commit(server: StandIn, weights: Path) -> None:
    pushed(weights)
    count = len(server.repos["owner/name"]["main"])
    pushed(weights)
    assert len(server.repos["owner/name"]["main"]) == count


def test_a_commit_can_be_named(server: StandIn, weights: Path) -> None:
    pushed(weights)
    first, content = server.repos["owner/name"]["main"][-1][0], weights.read_bytes()
    generator = anycost.load(weights)
    generator.constant += 1
    write_weights(weights, generator_tensors(generator), generator_header(generator))
    pushed(weights)
    assert pull(f"owner/name@{first}").read_bytes() == content
    assert pull("owner/name").read_bytes() == weights.read_bytes() != content


def test_what_is_in_the_cache_needs_no_network(server: StandIn, weights: Path) -> None:
    pushed(weights)
    file = pull("owner/name")
    assert pull("owner/name", endpoint="http://127.0.0.1:9") == file


# ---- what goes wrong


def test_a_download_that_breaks_off_goes_on(server: StandIn, weights: Path) -> None:
    pushed(weights)
    server.cuts[FILE] = 3
    assert pull("owner/name").read_bytes() == weights.read_bytes()
    assert not server.cuts[FILE]


def test_half_a_download_is_not_taken_for_whole(server: StandIn, weights: Path, tmp_path: Path) -> None:
    pushed(weights)
    server.cuts[FILE] = 1000  # the library gives up
    server.files("owner/name")[FILE] = bytes(10)  # from the second half on there is nothing to send
    with pytest.raises(UserError, match="owner/name: "):
        pull("owner/name")
    server.cuts.clear()
    server.files("owner/name")[FILE] = weights.read_bytes()
    assert pull("owner/name").read_bytes() == weights.read_bytes()


def test_a_pull_that_is_killed_leaves_nothing_that_is_taken_for_whole(
    server: StandIn, weights: Path, tmp_path: Path
) -> None:
    pushed(weights)
    server.stalled = FILE
    surroundings = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    puller = subprocess.Popen([sys.executable, "-m", "anycost", "pull", "name=owner/name"], env=surroundings)
    assert server.halfway.wait(60)
    puller.kill()
    puller.wait()
    server.stalled = None
    server.go_on.set()
    assert not list((tmp_path / "cache").rglob(f"snapshots/*/{FILE}"))
    (half,) = (tmp_path / "cache").rglob("*.incomplete")
    half.write_bytes(bytes(1000))  # as after a power failure: a length without its content, which is gone on from
    assert pull("owner/name").read_bytes() == weights.read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_damaged_copy_is_fetched_again(server: StandIn, weights: Path, damage: str) -> None:
    pushed(weights)
    blob = pull("owner/name").resolve()
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    assert pull("owner/name").read_bytes() == content
    blob.write_bytes(content[:-1])
    with pytest.raises(UserError):  # and is not believed where that cannot be done
        pull("owner/name", endpoint="http://127.0.0.1:9")


def test_weights_that_do_not_have_the_stated_hash_are_refused(server: StandIn, weights: Path) -> None:
    pushed(weights)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    server.commit("owner/name", "main", {FILE: bytes(content)})
    with pytest.raises(UserError, match=r"does not have the sha256 that anycost\.json states"):
        pull("owner/name")


@pytest.mark.parametrize("manifest", [
    b"", b"[]", b"{}", b'{"files": 1}', b'{"files": {"weights.safetensors": 1}}', b"\xff", b"[" * 100_000,
    b'{"files": {"weights.safetensors": {"sha256": "0"}}}', b'{"files": {"weights.safetensors": {"sha256": 7}}}',
    b'{"files": {"\x1b[2J": {"sha256": 7}}}', b'{"files": {"' + b"x" * 2**21 + b'": 1}}',
])  # fmt: skip
def test_manifests_that_are_none(server: StandIn, weights: Path, manifest: bytes) -> None:
    pushed(weights)
    server.commit("owner/name", "main", {MANIFEST: manifest})
    with pytest.raises(UserError, match=r"anycost\.json|owner/name has no weights") as caught:
        pull("owner/name")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(("name", "message"), [
    ("owner/other", "is no file or folder here, and as a repository of the hub: there is no repository owner/other"),
    ("hf://owner/other", "there is no repository owner/other, or it is private"),
    ("owner/name@other", "the repository has no such revision"),
    ("hf://owner/name/other.safetensors", "owner/name has no other.safetensors; it has weights.safetensors, README.md"),
    ("owner/bare", "was not pushed by anycost"),
    ("a--b/name", "a--b/name is no file or folder here, and as a repository of the hub: a--b/name: "),
    ("here/name", "weights=here/name does not exist; give a weights file"),
    ("elsewhere/g.safetensors", "weights=elsewhere/g.safetensors does not exist"),
    ("hf://owner/name/../../secret", "does not exist"),
    ("../owner", "does not exist"),
])
def test_names_of_nothing(server: StandIn, weights: Path, tmp_path: Path, name: str, message: str) -> None:
    pushed(weights)
    server.repos["owner/bare"] = {"main": [("0" * 40, {"model.bin": b"1"})]}
    (tmp_path / "here").mkdir()
    with pytest.raises(UserError) as caught:
        anycost.load(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_network_it_says_so(
    server: StandIn, monkeypatch: pytest.MonkeyPatch, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At once: what was meant may be a path with a typing error."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", lambda seconds: pytest.fail("it is tried again"))
        with pytest.raises(UserError, match="is not in the cache and the hub cannot be reached"):
            anycost.load("owner/name")
    assert caplog.messages == ["no file or folder owner/name here; asking the hub"]
    assert pushed(weights) == 2


def test_what_is_in_the_cache_is_opened_without_a_word(
    server: StandIn, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pushed(weights)
    anycost.load("hf://owner/name")
    anycost.load("owner/name")
    assert not caplog.messages
    anycost.load("owner/name@main")
    assert not caplog.messages


def test_without_the_library_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r'pip install -e "\.\[hub\]"'):
        pull("owner/name")


def test_refused_writes_name_the_remedy(
    server: StandIn, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuse_writes = True
    assert pushed(weights) == 2
    error = capsys.readouterr().err
    assert "403" in error
    assert "hf auth login" in error


def test_a_path_that_exists_wins(server: StandIn, weights: Path, tmp_path: Path) -> None:
    pushed(weights)
    server.requests.clear()
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").write_bytes(weights.read_bytes())
    assert anycost.load("owner/name").latent_dim == 8
    assert server.requests == []
    (tmp_path / "owner" / "name").unlink()
    with pytest.raises(UserError, match="does not exist"):  # its folder exists: a path was meant
        anycost.load("owner/name")
    assert anycost.load("hf://owner/name").latent_dim == 8


def test_the_token_goes_to_the_hub_and_nowhere_else(
    server: StandIn, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(weights)
    pull("owner/name")
    server.refuse_writes = True
    pushed(weights)
    (token,) = server.tokens
    assert token == os.environ["HF_TOKEN"]
    printed = "".join(capsys.readouterr())
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    sent = b"".join(server.files("owner/name").values())
    assert token not in printed
    assert token.encode() not in stored + sent


def test_a_push_that_dies_before_its_commit_leaves_the_repository_as_it_was(server: StandIn, weights: Path) -> None:
    pushed(weights)
    before = server.files("owner/name")
    generator = anycost.load(weights)
    generator.constant += 1
    write_weights(weights, generator_tensors(generator), generator_header(generator))
    server.fail_commits = True
    assert pushed(weights) == 2
    server.fail_commits = False
    assert server.files("owner/name") == before
    assert pull("owner/name").read_bytes() == before[FILE]
    assert pushed(weights) == 0
    assert pull("owner/name").read_bytes() == weights.read_bytes()


def test_an_upload_that_fails_is_one_message(
    server: StandIn, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fail_uploads = True
    assert pushed(weights) == 2
    error = capsys.readouterr().err
    assert "owner/name: the hub cannot be reached or broke off (Error while uploading 'weights.safetensors'" in error
    assert error.strip().endswith("try again")
    assert FILE not in server.files("owner/name")


def test_a_name_that_is_none_is_refused_before_pictures_are_made(
    server: StandIn, weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("anycost.commands.push._pictures", lambda *_: pytest.fail("drawn for nothing"))
    for repo in ("name", "owner/name@main", "hf://owner/name/file"):
        assert main(["push", f"weights={weights}", f"repo={repo}"]) == 2
        assert f"repo={repo} is not of the form OWNER/NAME" in capsys.readouterr().err


def test_a_branch_that_no_name_reaches_is_not_made(
    server: StandIn, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", f"weights={weights}", "repo=owner/name", "samples=0", "revision=feature/x"]) == 2
    assert "revision=feature/x: OWNER/NAME@REVISION takes letters, digits and ._- alone" in capsys.readouterr().err
    assert server.requests == []


def test_what_a_file_says_is_no_markup_in_the_card(server: StandIn, weights: Path) -> None:
    pushed(weights, "licence=[free](http://bad) <b>")
    card = server.files("owner/name")["README.md"].decode()
    assert "Licence: \\[free\\](http://bad) \\<b\\>." in card


def test_the_card_names_the_repository_however_it_was_written(server: StandIn, weights: Path) -> None:
    assert main(["push", f"weights={weights}", "repo=hf://owner/name", "samples=0"]) == 0
    card = server.files("owner/name")["README.md"].decode()
    assert "\n# name\n" in card
    assert 'anycost.load("owner/name")' in card


@pytest.mark.parametrize(("text", "expected"), [
    ("a/b", HubName("a/b", None, FILE, False)),
    ("a-1/b.c_d@v1.0", HubName("a-1/b.c_d", "v1.0", FILE, False)),
    ("hf://a/b", HubName("a/b")), ("hf:/a/b", HubName("a/b")),
    ("hf://a/b@c/d/e.safetensors", HubName("a/b", "c", "d/e.safetensors")),
    ("a", None), ("a/b/c", None), ("/a/b", None), ("a/b@", None), ("", None), ("./b", None), ("a b/c", None),
    ("hf://a/b/../c", None), ("https://a/b", None), ("ä/b", None), ("a/b\n", None),
])  # fmt: skip
def test_names(text: str, expected: HubName | None) -> None:
    assert hub_name(text) == expected


def test_the_usual_hub_is_asked_where_no_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert hub._endpoint(None) is None
