"""What an importer is asked for and what it hands back."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from anycost.errors import UserError
from anycost.files import atomic_write
from anycost.interchange.weights import Header, write_weights


@dataclass(frozen=True)
class Choice:
    """What the user wants of a file that holds several things.

    Args:
        weights: `ema` (the averaged generator) or `raw` (the one that is trained).
        part: `all`, or `generator` to leave a discriminator out.
        name: one entry of a file of architectures or directions; None is all of them.
    """

    weights: str = "ema"
    part: str = "all"
    name: str | None = None

    def pick(self, entries: dict[str, Any], what: str) -> dict[str, Any]:
        """The entries that `name` asks for; `UserError` where there is none of that name."""
        if self.name is None:
            return entries
        if self.name not in entries:
            raise UserError(f"name={self.name} is not in the file; its {what} are {', '.join(entries)}")
        return {self.name: entries[self.name]}


@dataclass(frozen=True)
class Imported:
    """The content of one file of ours: tensors and header, or architectures by name (then `tensors` is empty).

    Args:
        header: `card["source"]` names the format, `card["left_out"]` says what the file has and ours does not,
            `card["differs"]` (where anything does) what ours computes in another way.
        found: one line per thing found, for the user.
        architectures: what a file of architectures holds.
    """

    tensors: dict[str, Tensor]
    header: Header
    found: tuple[str, ...]
    architectures: dict[str, Any] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """The ending of the file that `write` makes."""
        return ".json" if self.architectures else ".safetensors"

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        if not self.architectures:
            write_weights(path, self.tensors, self.header)
            return
        lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in self.architectures.items()]
        with atomic_write(path, "w") as file:
            file.write("{\n" + ",\n".join(lines) + "\n}\n")
