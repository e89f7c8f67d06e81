"""What is inside a weights file, as plain values: for `anycost info` and whoever else asks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from anycost.errors import UserError
from anycost.interchange.card import prices
from anycost.interchange.header import GENERATORS, Header, generator_form
from anycost.interchange.locating import not_finite
from anycost.interchange.weights import read_weights
from anycost.networks.published import sha256
from anycost.pricing.price_list import Price


@dataclass(frozen=True)
class Contents:
    """One part of a file: all tensors whose names begin alike."""

    tensors: int
    numbers: int
    bytes: int
    types: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """A file that was read whole and fits its header; `broken` names the tensors whose values are not finite."""

    path: Path
    bytes: int
    sha256: str
    header: Header
    contents: dict[str, Contents]
    broken: list[str]
    prices: dict[str, Price]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON keeps it; with the channels and the number of architectures of a generator."""
        entry: dict[str, Any] = {
            "path": str(self.path),
            "bytes": self.bytes,
            "sha256": self.sha256,
            **self.header.__dict__,
            "contents": {name: asdict(part) for name, part in self.contents.items()},
            "not_finite": self.broken,
        }
        if self.header.kind in GENERATORS:
            space, _, _ = generator_form(self.header)
            entry["full_channels"] = list(space.full_channels)
            entry["resolutions"] = list(space.resolutions)
            entry["num_architectures"] = space.count()
            entry["prices"] = {name: _price(price) for name, price in self.prices.items()}
        return entry


def inspect(path: Path, architectures: Sequence[str] = ()) -> Inspection:
    """Read and check `path`; prices are those of the `architectures` named, or of all uniform ones.

    Raises `UserError` for a file that is not ours or does not fit, and for architectures that are not of its space.
    """
    tensors, header = read_weights(path)
    if architectures and header.kind not in GENERATORS:
        raise UserError(f"architectures={','.join(architectures)}: {path} holds no generator (kind={header.kind})")
    listed: dict[str, Price] = {}
    if header.kind in GENERATORS:
        space, _, _ = generator_form(header)
        listed = prices(header, space.parse_list(architectures) if architectures else None)
    return Inspection(path, path.stat().st_size, sha256(path), header, _contents(tensors), not_finite(tensors), listed)


def _contents(tensors: Mapping[str, Tensor]) -> dict[str, Contents]:
    parts: dict[str, list[Tensor]] = {}
    for name, tensor in tensors.items():
        parts.setdefault(name.partition(".")[0], []).append(tensor)
    return {
        part: Contents(
            tensors=len(members),
            numbers=sum(tensor.numel() for tensor in members),
            bytes=sum(tensor.numel() * tensor.element_size() for tensor in members),
            types=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in members})),
        )
        for part, members in sorted(parts.items())
    }


def _price(price: Price) -> dict[str, int]:
    return {"macs": price.macs, "macs_paper": price.macs_paper, "parameters": price.parameters}
