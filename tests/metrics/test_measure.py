"""Measurements of a small generator: distances, caching of real statistics, consistency, the final table."""

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.metrics.consistency import antialiased, consistency
from anycost.metrics.distribution import FeatureSet, distance, generated_features, is_biased, real_features
from anycost.metrics.features import PooledFeatures
from anycost.metrics.protocols import MetricProtocol, in_training
from anycost.metrics.records import Measurement
from anycost.metrics.summary import Summary, SummaryRow, markdown_table, readable_count, rich_table, summarise
from anycost.networks.generator import Generator
from anycost.networks.perceptual import FeatureDistance, PerceptualDistance
from anycost.pricing.macs import macs
from anycost.sampling import sample

KEY = {"fingerprint": "abc", "resolution": 16, "count": 24}


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    space = ArchitectureSpace(resolution=16, multiplier=0.01, channel_cap=16, num_resolutions=2)
    return Generator(space, latent_dim=8, mapping_layers=2)


def reals(count: int = 24) -> Iterator[Tensor]:
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    return iter(images.split(10))


def test_features_do_not_depend_on_the_batch_size(generator: Generator, stand_in: nn.Module) -> None:
    extractor, protocol = PooledFeatures(stand_in), in_training("frechet", "embedded", "embedded", 20)
    architecture = generator.space.uniform(0.5)
    whole = generated_features(generator, architecture, protocol, extractor, 20)
    parts = generated_features(generator, architecture, protocol, extractor, 7)
    assert whole.features.shape == (20, 12)
    assert parts.moments.count == 20
    np.testing.assert_allclose(parts.features, whole.features, atol=1e-3)
    np.testing.assert_allclose(parts.moments.mean, whole.moments.mean, atol=1e-3)


def test_fakes_are_judged_as_saved_pixels(stand_in: nn.Module) -> None:
    extractor = PooledFeatures(stand_in)
    exact = FeatureSet.of(reals(), extractor)
    wobbled = FeatureSet.of((batch.float() / 127.5 - 1 + 0.001 for batch in reals()), extractor)
    np.testing.assert_array_equal(exact.features, wobbled.features)


@pytest.mark.parametrize("kind", ["frechet", "kernel"])
def test_other_images_are_farther_than_the_same(kind: str, generator: Generator, stand_in: nn.Module) -> None:
    extractor, protocol = PooledFeatures(stand_in), in_training(kind, "embedded", "embedded", 40)
    real = FeatureSet.of(reals(), extractor)
    fake = generated_features(generator, generator.space.full(), protocol, extractor, 40)
    assert distance(protocol, real, fake) > max(distance(protocol, real, real), 0)
    assert is_biased(protocol, FeatureSet.of(reals(12), extractor), fake) == (kind == "frechet")
    assert not is_biased(protocol, real, fake)


def count_calls(batches: Callable[[], Iterator[Tensor]]) -> tuple[Callable[[], Iterator[Tensor]], list[int]]:
    calls: list[int] = []

    def counted() -> Iterator[Tensor]:
        calls.append(1)
        return batches()

    return counted, calls


def test_real_statistics_are_computed_once(tmp_path: Path, stand_in: nn.Module) -> None:
    extractor = PooledFeatures(stand_in)
    batches, calls = count_calls(reals)
    first = real_features(batches, extractor, KEY, tmp_path)
    second = real_features(batches, extractor, dict(reversed(KEY.items())), tmp_path)
    assert len(calls) == 1
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.moments.scatter, second.moments.scatter)
    real_features(batches, extractor, {**KEY, "fingerprint": "other"}, tmp_path)
    extractor.identity = "other weights"
    real_features(batches, extractor, KEY, tmp_path)
    assert len(calls) == 3


def test_a_broken_cache_file_is_made_again(
    tmp_path: Path, stand_in: nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    extractor = PooledFeatures(stand_in)
    batches, calls = count_calls(reals)
    expected = real_features(batches, extractor, KEY, tmp_path)
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    again = real_features(batches, extractor, KEY, tmp_path)
    assert len(calls) == 2
    assert str(file) in caplog.text
    np.testing.assert_array_equal(again.features, expected.features)
    real_features(batches, extractor, KEY, tmp_path)
    assert len(calls) == 2


def test_consistency_compares_with_the_full_output(generator: Generator, stand_in: nn.Module) -> None:
    space, perceptual = generator.space, PerceptualDistance(FeatureDistance(stand_in))
    protocol = in_training("consistency", "embedded", "embedded", 10)
    architectures = [space.full(), space.uniform(0.5), space.full(8)]
    values = consistency(generator, architectures, protocol, perceptual, batch_size=4)
    assert values[0] == 0
    assert values[1] > 0
    full, half, low = (
        next(sample(generator, a, protocol.seeds, 10, noise="fixed")).images for a in architectures
    )
    assert values[1] == pytest.approx(perceptual(half, full).mean().item(), rel=1e-4)
    assert values[2] == pytest.approx(perceptual(low, antialiased(full, 8)).mean().item(), rel=1e-4)


def test_the_name_of_a_protocol_says_what_was_measured() -> None:
    assert in_training("frechet", "inception", "lpips", 5000).name == "frechet5000_inception"
    assert in_training("kernel", "embedded", "lpips", 2000).name == "kernel2000_embedded"
    assert in_training("consistency", "inception", "lpips", 5000).name == "consistency500_lpips"
    with pytest.raises(UserError, match="fid"):
        in_training("fid", "inception", "lpips", 5000)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(MetricProtocol)])
def test_every_field_of_a_protocol_is_in_its_digest(field: str) -> None:
    protocol = in_training("frechet", "inception", "lpips", 5000)
    other = dataclasses.replace(protocol, **{field: 7})
    assert other.digest != protocol.digest
    assert other.to_json()[field] == 7


def test_the_summary_prices_and_times_the_newest_measurements(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anycost.metrics.summary.TIMED_SECONDS", 0.01)
    space = generator.space
    frechet = in_training("frechet", "embedded", "embedded", 2000)
    kernel, consistent = (in_training(kind, "embedded", "embedded", 2000) for kind in ("kernel", "consistency"))
    full, low = space.full(), space.uniform(0.5, 8)
    summary = summarise(
        generator,
        [
            Measurement(frechet, "full", full, "faces", 1000, 9.0),
            Measurement(frechet, "full", full, "faces", 2000, 1.5),
            Measurement(kernel, "full", full, "faces", 2000, 0.1),
            Measurement(consistent, "full", full, "faces", 2000, 0.0),
            Measurement(consistent, "0.5@8", low, "faces", 2000, 0.25),
        ],
    )
    assert summary.header == ["architecture", "MACs", "frechet2000_embedded", "consistency500_embedded", "ms"]
    values = [(row.label, row.distance, row.consistency) for row in summary.rows]
    assert values == [("full", 1.5, 0.0), ("0.5@8", None, 0.25)]
    assert [row.macs for row in summary.rows] == [macs(space, a, latent_dim=8, mapping_layers=2) for a in (full, low)]
    assert all(row.latency_ms > 0 for row in summary.rows)


def test_tables_show_every_value() -> None:
    rows = [SummaryRow("full", 74_266_894_336, 12.3456, 0.0, 1.234), SummaryRow("0.5@16", 950, None, 0.25, 0.5)]
    summary = Summary(rows, "frechet2000_embedded", "consistency500_embedded", "cpu")
    text = markdown_table(summary)
    assert text.splitlines()[0] == "| architecture | MACs | frechet2000_embedded | consistency500_embedded | ms |"
    assert text.splitlines()[2] == "| full | 74.3 G | 12.35 | 0.0000 | 1.23 |"
    assert text.splitlines()[3] == "| 0.5@16 | 950 | - | 0.2500 | 0.50 |"
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(rich_table(summary))
    shown = console.export_text()
    assert all(cell in shown for cell in ("frechet2000_embedded", "74.3 G", "12.35", "0.2500"))


@pytest.mark.parametrize(("number", "text"), [(7, "7"), (1500, "1.5 k"), (44_000_000, "44 M"), (10**9, "1 G")])
def test_readable_counts(number: int, text: str) -> None:
    assert readable_count(number) == text
