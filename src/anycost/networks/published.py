"""Published weights of networks that judge images: found in the usual cache, downloaded on first use, or explained."""

import hashlib
import os
import socket
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from anycost.errors import UserError

_CONNECT_SECONDS = 20.0


class MissingWeights(UserError):
    """Published weights that cannot be had; the message ends with what does without them."""

    def __init__(self, problem: str, offline_choice: str) -> None:
        super().__init__(
            f"{problem}, or choose {offline_choice}: no download is needed, and the numbers carry another name"
        )
        self.problem = problem

    def advising(self, offline_choice: str) -> "MissingWeights":
        """The same with the offline choice in the words of the command that is at work."""
        return MissingWeights(self.problem, offline_choice)


@dataclass(frozen=True)
class PublishedWeights:
    """One file that others publish.

    `offline_choice` is the option that does without it; `variable` is an environment variable that may name the
    file, which is otherwise looked for in PyTorch's hub cache. Without a known hash (`sha256_prefix` empty) nothing is
    downloaded: nobody could say whether it is the right file.
    """

    title: str
    address: str
    sha256_prefix: str
    offline_choice: str
    variable: str | None = None

    @property
    def file(self) -> str:
        return self.address.rpartition("/")[2]

    def find(self) -> Path:
        """The checked file; downloaded into the hub cache if it is not there.

        Raises `MissingWeights` with the file, its address, its place, its hash and the offline choice.
        """
        given = os.environ.get(self.variable) if self.variable else None
        path = Path(given).expanduser() if given else Path(torch.hub.get_dir()) / "checkpoints" / self.file
        if not path.is_file():
            if given:
                raise self._missing(f"{self.variable}={given} is not a file", path)
            if not self.sha256_prefix:
                raise self._missing(f"{self.title} is not at {path} and is not downloaded", path)
            self._download(path)
        if not sha256(path).startswith(self.sha256_prefix):
            raise self._missing(f"{path} is damaged or another file: its sha256 does not fit", path)
        return path

    def _download(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _time_limit():
                torch.hub.download_url_to_file(self.address, str(path), self.sha256_prefix)
        except (OSError, urllib.error.URLError, RuntimeError) as error:
            raise self._missing(f"{self.title} cannot be downloaded ({error})", path) from error

    def _missing(self, problem: str, path: Path) -> MissingWeights:
        elsewhere = f" (or name it in ${self.variable})" if self.variable else ""
        known = f"sha256 {self.sha256_prefix}..." if self.sha256_prefix else "its sha256 is not known"
        remedy = f"Put {self.file} from {self.address} ({known}) at {path}{elsewhere}"
        return MissingWeights(f"{problem}. {remedy}", self.offline_choice)


INCEPTION = PublishedWeights(
    title="Inception v3 (TensorFlow 2015)",
    address="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    sha256_prefix="6726825d",
    offline_choice="features=embedded (this one alone: metrics.features=embedded)",
    variable="ANYCOST_INCEPTION",
)
VGG16 = PublishedWeights(
    title="VGG-16 (torchvision, ImageNet)",
    address="https://download.pytorch.org/models/vgg16-397923af.pth",
    sha256_prefix="397923af",
    offline_choice="features=embedded (this one alone: stage.consistency.perceptual=embedded, "
    "metrics.perceptual=embedded)",
)
ATTRIBUTE_PREDICTOR = PublishedWeights(
    title="Anycost's attribute predictor (a ResNet-50 on CelebA)",
    address="https://hanlab18.mit.edu/projects/anycost-gan/files/attribute_predictor.pt",
    sha256_prefix="",  # the host was gone before anybody noted it
    offline_choice="attribute_consistency_embedded (for the embedded faces)",
    variable="ANYCOST_ATTRIBUTE_PREDICTOR",
)


def sha256(path: Path) -> str:
    """Of the file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _time_limit() -> Iterator[None]:
    """torch.hub sets no time limit, and a network that drops packets would hold the command for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_CONNECT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
