"""Numbers in ranges: what is written is what is meant, and nothing else is accepted."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycost.errors import UserError
from anycost.generation.ranges import MOST_SEEDS, parse_layers, parse_seeds

spans = st.tuples(st.integers(0, 2**62), st.integers(0, 40))


@given(st.lists(spans, min_size=1, max_size=6))
def test_ranges_are_their_numbers_in_order(parts: list[tuple[int, int]]) -> None:
    texts = [f"{first}-{first + more}" if more else f"{first}" for first, more in parts]
    assert parse_seeds(texts) == [first + step for first, more in parts for step in range(more + 1)]


def test_seeds_may_come_twice() -> None:
    assert parse_seeds(["3", "1-3"]) == [3, 1, 2, 3]


@given(st.text(max_size=8))
def test_any_text_is_seeds_or_an_error(text: str) -> None:
    if re.fullmatch("[0-9]+(-[0-9]+)?", text):
        return
    with pytest.raises(UserError, match="seeds="):
        parse_seeds([text])


@pytest.mark.parametrize(("texts", "message"), [
    ([], "names none; give numbers and ranges, for example rows=0-15,20"),
    (["-3"], "rows=-3 is not understood; seeds are whole numbers from 0 up"),
    (["5-3"], "rows=5-3 goes backwards; write 3-5"),
    (["1.5"], "rows=1.5 is not understood"),
    (["٣"], "is not understood"),
    ([f"0-{MOST_SEEDS}"], "names 1000001 seeds; 1000000 at once"),
    (["0-9223372036854775807"], "names 9223372036854775808 seeds"),
    (["9223372036854775808"], "is above 9223372036854775807"),
])  # fmt: skip
def test_seeds_that_cannot_be(texts: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse_seeds(texts, "rows")


def test_layers_are_sorted_and_come_once() -> None:
    assert parse_layers(["5", "0-2", "1"], 8, "mixing_layers") == [0, 1, 2, 5]


@pytest.mark.parametrize(("texts", "message"), [
    (["0-8"], "mixing_layers=0-8: there is no layer 8; they are 0 to 7"),
    (["0-9000000000000000000"], "they are 0 to 7"),
    ([], "names none; give layers, for example mixing_layers=0-2"),
    (["a"], "layers are numbers from 0 to 7"),
])  # fmt: skip
def test_layers_that_cannot_be(texts: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse_layers(texts, 8, "mixing_layers")
