"""Published weights: taken from the usual place, checked, and explained when they cannot be had."""

import hashlib
import urllib.error
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anycost.errors import UserError
from anycost.networks.published import INCEPTION, VGG16, PublishedWeights

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def offline(*_: object, **__: object) -> None:
    raise urllib.error.URLError("no network")


@pytest.mark.parametrize("weights", [INCEPTION, VGG16], ids=lambda weights: weights.file)
def test_the_error_names_file_address_place_hash_and_offline_choice(
    weights: PublishedWeights, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(UserError) as error:
        weights.find()
    for part in (weights.file, weights.address, str(hub / weights.file), weights.sha256_prefix, "embedded"):
        assert part in str(error.value)


def test_a_present_file_is_taken_without_network(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    (hub / VGG16.file).write_bytes(CONTENT)
    assert replace(VGG16, sha256_prefix=DIGEST[:8]).find() == hub / VGG16.file


def test_a_damaged_file_is_refused(hub: Path) -> None:
    (hub / VGG16.file).write_bytes(CONTENT)
    with pytest.raises(UserError, match="sha256"):
        VGG16.find()


def test_a_download_lands_in_the_hub_cache(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(address: str, path: str, prefix: str) -> None:
        asked.append((address, prefix))
        Path(path).write_bytes(CONTENT)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert replace(VGG16, sha256_prefix=DIGEST[:8]).find() == hub / VGG16.file
    assert asked == [(VGG16.address, DIGEST[:8])]


def test_the_variable_names_another_place(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = replace(INCEPTION, sha256_prefix=DIGEST[:8])
    monkeypatch.setenv("ANYCOST_INCEPTION", str(tmp_path / "mine.pth"))
    with pytest.raises(UserError, match="ANYCOST_INCEPTION"):
        weights.find()
    (tmp_path / "mine.pth").write_bytes(CONTENT)
    assert weights.find() == tmp_path / "mine.pth"
