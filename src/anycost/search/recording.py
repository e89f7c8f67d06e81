"""The archive on disk: one line per evaluation, from which a killed search continues to the same archive.

A search is deterministic, so it continues by running again from its beginning, with what the file holds in place of
what would be computed again.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anycost.architecture import Architecture
from anycost.errors import UserError
from anycost.files import atomic_write, explained_errors, lock_folder
from anycost.search.archive import Archive, Distances, Evaluation

IDENTITY = "search.json"


def digest(identity: dict[str, Any]) -> str:
    """8 hex digits that change with anything in `identity`."""
    return hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=4).hexdigest()


def check_identity(folder: Path, identity: dict[str, Any]) -> None:
    """Raise `UserError` where `folder` holds a search of another identity; an empty one holds none."""
    path = folder / IDENTITY
    if not path.is_file():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); remove the folder {folder} to search again") from error
    if found != json.loads(json.dumps(identity)):
        raise UserError(f"output={folder} holds another search (see its {IDENTITY}); choose another folder")


class Recording:
    """`search.json` (everything that decides the values) and `archive.jsonl` (the values) of one folder.

    Raises `UserError` where the folder holds another search, and where another process searches in it.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder, self.file = folder, folder / "archive.jsonl"
        busy = f"another process searches in {folder}: wait for it, or choose another output="
        self._lock = lock_folder(folder, busy)
        self._own(identity)
        self._lines = self._whole_lines()
        self._known = {one.architecture.key: one.distance for one in self._evaluations()}
        self._replayed = 0

    def __len__(self) -> int:
        """Evaluations that were there at the start."""
        return len(self._lines)

    def distances(self, compute: Distances) -> Distances:
        """`compute`, but for what the file already holds."""

        def known_or_computed(architectures: Sequence[Architecture]) -> list[float]:
            missing = [one for one in architectures if one.key not in self._known]
            found = dict(zip([one.key for one in missing], compute(missing) if missing else [], strict=True))
            return [found[one.key] if one.key in found else self._known[one.key] for one in architectures]

        return known_or_computed

    def add(self, archive: Archive, new: list[Evaluation]) -> None:
        """Append what is new; called for every batch, in the order of the search."""
        lines = [json.dumps(one.to_json()) for one in new]
        stored = self._lines[self._replayed : self._replayed + len(lines)]
        if lines[: len(stored)] != stored:
            raise UserError(
                f"{self.file} was written by a search that went another way (another version of anycost, or an "
                f"edited file); remove the folder {self.folder} to search again"
            )
        self._replayed += len(lines)
        with explained_errors(self.file), self.file.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines[len(stored) :]))

    def _own(self, identity: dict[str, Any]) -> None:
        check_identity(self.folder, identity)
        with atomic_write(self.folder / IDENTITY, "w") as file:
            json.dump(identity, file, indent=2)

    def _evaluations(self) -> list[Evaluation]:
        try:
            return [Evaluation.from_json(json.loads(line)) for line in self._lines]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.file} has a line that is no evaluation ({error}); remove {self.folder} to search again"
            ) from error

    def _whole_lines(self) -> list[str]:
        """The complete lines; what a kill tore off is cut from the file."""
        if not self.file.is_file():
            return []
        content = self.file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with explained_errors(self.file), self.file.open("r+b") as file:
                file.truncate(len(whole))
        return whole.decode().splitlines()
