"""Shards cover a range of samples once and in order; their files are whole or not there."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anycost.evaluation.passes import Column, Gathering, Pass
from anycost.evaluation.shards import Shard, ShardFile, WorkFolder, shards_of

SAMPLES = st.integers(1, 400)


@given(SAMPLES, st.integers(1, 20))
def test_shards_cover_the_range_once_in_order(samples: int, count: int) -> None:
    shards = shards_of(samples, count)
    assert [shard.number for shard in shards] == list(range(min(samples, count)))
    assert (shards[0].first, shards[-1].stop) == (0, samples)
    assert all(one.stop == other.first for one, other in pairwise(shards))
    sizes = [shard.stop - shard.first for shard in shards]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(SAMPLES, min_size=1, max_size=4), st.integers(1, 50), st.integers(1, 10))
def test_batches_cover_a_shard_and_none_reaches_over_the_end_of_a_measure(
    counts: list[int], batch_size: int, num_shards: int
) -> None:
    gatherings = tuple(Gathering(str(count), count, None, None) for count in counts)  # type: ignore[arg-type]
    work = Pass("", None, [Column("", gatherings)], {}, batch_size, num_shards)  # type: ignore[arg-type]
    ranges = [one for shard in work.shards for one in work.ranges(shard)]
    assert (ranges[0][0], ranges[-1][1]) == (0, max(counts))
    assert all(one[1] == other[0] for one, other in pairwise(ranges))
    assert all(0 < stop - first <= batch_size for first, stop in ranges)
    for count in counts:
        assert not any(first < count < stop for first, stop in ranges)


def test_a_file_keeps_position_and_arrays_to_the_bit(tmp_path: Path) -> None:
    arrays = {"0.0.mean": np.array([1 / 3, np.pi]), "0.1.rows": np.arange(6, dtype=np.float32).reshape(2, 3)}
    file = ShardFile(tmp_path / "work" / "shard_0.npz")
    assert file.position() is None
    file.write(17, arrays)
    position, found = file.read()
    assert (position, file.position()) == (17, 17)
    assert found.keys() == arrays.keys()
    assert all(found[name].tobytes() == arrays[name].tobytes() for name in arrays)
    assert list(file.read(["0.1."])[1]) == ["0.1.rows"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no more"])
def test_a_broken_file_counts_as_none_and_is_named(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shard_0.npz"
    path.write_bytes(content)
    assert ShardFile(path).read() == (None, {})
    assert str(path) in caplog.text


def test_a_folder_goes_with_its_shards(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path / "work" / "abc")
    folder.describe({"subject": "x"})
    folder.shard(Shard(0, 0, 5)).write(5, {})
    folder.remove()
    assert not (tmp_path / "work").exists()
