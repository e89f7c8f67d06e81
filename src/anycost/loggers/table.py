"""metrics.csv as a file: rows that are appended, columns that grow, a tail that a kill may have torn.

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


def read_rows(path: Path) -> list[Row]:
    """All whole rows, in the order of the file; none where there is no file."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]  # a line without its end was torn by a kill
    return [_numbers(cells) for cells in csv.DictReader(io.StringIO(whole))]


def _numbers(cells: Mapping[str, str]) -> Row:
    numbers: Row = {name: float(cell) for name, cell in cells.items() if cell not in ("", None)}
    return {**numbers, "images": int(numbers["images"])}


class MetricsTable:
    """One row per image count in `path`; every value reaches the operating system at once: a kill loses none."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.columns: list[str] = list(_AXES)
        self._last: Row = {}
        self._last_start = 0  # where the last row begins, in bytes
        if self.path.is_file():
            self._rewrite(read_rows(self.path))

    def put(self, images: int, values: Mapping[str, float]) -> None:
        """Append a row, or add to the last one where its image count is the same.

        A name that is new rewrites the file with one more column.
        """
        same = self._last.get("images") == images
        row: Row = {**(self._last if same else {}), "images": images, "kimg": images / 1000, **values}
        if not self.path.is_file() or not row.keys() <= set(self.columns):
            rows = read_rows(self.path)
            self._rewrite([*(rows[:-1] if same else rows), row])
            return
        with explained_errors(self.path), self.path.open("r+b") as file:
            self._last_start = file.seek(self._last_start) if same else file.seek(0, os.SEEK_END)
            file.write(self._line(row).encode())
            file.truncate()
        self._last = row

    def truncate(self, images: int) -> None:
        """Drop the rows beyond `images`: the checkpoint that training continues from does not know them."""
        self._rewrite([row for row in read_rows(self.path) if row["images"] <= images])

    def sync(self) -> None:
        """Wait until the rows are on the disk."""
        if self.path.is_file():
            with self.path.open("a") as file:
                os.fsync(file.fileno())

    def _rewrite(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self.columns = list(dict.fromkeys([*_AXES, *self.columns, *(name for row in rows for name in row)]))
        lines = [_csv_line(self.columns), *map(self._line, rows)]
        with atomic_write(self.path, "w") as file:
            file.writelines(lines)
        self._last = rows[-1] if rows else {}
        self._last_start = len("".join(lines[:-1]).encode())

    def _line(self, row: Row) -> str:
        return _csv_line([row.get(name, "") for name in self.columns])


def _csv_line(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
