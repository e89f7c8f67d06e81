"""Style mixing: some layers of one person's W+ code, the other layers of another's [StyleGAN, Sec. 3.1]."""

from collections.abc import Sequence

from torch import Tensor

from anycost.generation.styles import Styles


def default_layers(num_styles: int) -> list[int]:
    """The coarse third, that decides pose and shape: 0-6 of the 18 layers at 1024 px."""
    return list(range(num_styles // 3 + 1))


def mixing_matrix(rows: Tensor, columns: Tensor, layers: Sequence[int]) -> Tensor:
    """W+ codes `[R, n, d]` and `[C, n, d]` -> `[R C, n, d]`, row by row: the row's person, `layers` of the column's."""
    mixed = rows[:, None].repeat(1, len(columns), 1, 1)
    mixed[:, :, list(layers)] = columns[None][:, :, list(layers)]
    return mixed.flatten(0, 1)


def mixing_styles(rows: Styles, columns: Styles, layers: Sequence[int]) -> Styles:
    """Everybody of the matrix, row by row, under `row_column`; noise is the row's."""
    row_codes, column_codes = rows.all(), columns.all()
    names = [f"{row}_{column}" for row in rows.names for column in columns.names]
    noise_seeds = [seed for seed in rows.noise_seeds for _ in columns.names]

    def batch(start: int, stop: int) -> Tensor:
        first, last = start // len(columns), -(-stop // len(columns))
        block = mixing_matrix(row_codes[first:last], column_codes, layers)
        return block[start - first * len(columns) : stop - first * len(columns)]

    return Styles(names, noise_seeds, batch)
