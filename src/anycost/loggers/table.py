"""metrics.csv as a file: rows appended one by one, columns that grow, a tail that a kill may have torn.

Rows are sparse: a value that was not logged at some image count is empty there. `images` and `kimg` come first.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from anycost.files import atomic_write, explained_errors

Row = dict[str, float]
_AXES = ("images", "kimg")


def read_rows(path: Path | str) -> list[Row]:
    """All whole rows, one per image count (values logged later at the same count are merged in), ascending."""
    rows: dict[int, Row] = {}
    for row in _parse(Path(path)):
        rows.setdefault(int(row["images"]), {}).update(row)
    return [rows[images] for images in sorted(rows)]


def _parse(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]  # a line without its end was torn by a kill
    return [_numbers(cells) for cells in csv.DictReader(io.StringIO(whole))]


def _numbers(cells: Mapping[str, str]) -> Row:
    numbers: Row = {name: float(cell) for name, cell in cells.items() if cell not in ("", None)}
    return {**numbers, "images": int(numbers["images"])}


class MetricsTable:
    """Appends rows to `path`; each row reaches the operating system at once, so that a killed process loses none."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.columns: list[str] = list(_AXES)
        if self.path.is_file():
            self._rewrite(_parse(self.path))

    def append(self, images: int, values: Mapping[str, float]) -> None:
        """Add one row; a name that is new rewrites the file with one more column."""
        row: Row = {"images": images, "kimg": images / 1000, **values}
        if not self.path.is_file() or not row.keys() <= set(self.columns):
            self._rewrite([*_parse(self.path), row])
            return
        with explained_errors(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._line(row))

    def truncate(self, images: int) -> None:
        """Drop the rows beyond `images`: the checkpoint that training continues from does not know them."""
        rows = _parse(self.path)
        kept = [row for row in rows if row["images"] <= images]
        if len(kept) < len(rows):
            self._rewrite(kept)

    def sync(self) -> None:
        """Wait until the rows are on the disk."""
        if self.path.is_file():
            with self.path.open("a") as file:
                os.fsync(file.fileno())

    def _rewrite(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self.columns = list(dict.fromkeys([*_AXES, *self.columns, *(name for row in rows for name in row)]))
        with atomic_write(self.path, "w") as file:
            file.write(_csv_line(self.columns))
            file.writelines(self._line(row) for row in rows)

    def _line(self, row: Row) -> str:
        return _csv_line([row.get(name, "") for name in self.columns])


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
