"""Measures: batches of any size and shards in order give one value; bad images are named; nothing is computed twice."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.metrics import measures
from anycost.metrics.batches import Batch, Target, antialiased
from anycost.metrics.features import PooledFeatures
from anycost.metrics.measures import Measure, Networks, Sampling, build_measures
from anycost.metrics.protocols import MetricProtocol, in_training
from anycost.metrics.states import Moments
from anycost.metrics.statistics import frechet_distance, kernel_distance
from anycost.metrics.table import PROTOCOLS
from anycost.networks.generator import Generator
from anycost.networks.perceptual import FeatureDistance, PerceptualDistance
from anycost.sampling import from_uint8, sample, to_uint8

EMBEDDED = [protocol for protocol in PROTOCOLS.values() if protocol.features == "embedded"]
COUNT = 40


def pictures(count: int, seed: int, side: int = 16) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 0.5


REALS = (pictures(50, 9) * 100 + 128).clamp(0, 255).to(torch.uint8)
FAKES, FULL = pictures(COUNT, 1), pictures(COUNT, 1) + 0.1 * pictures(COUNT, 2)
SECOND = pictures(COUNT, 1) + 1e-3 * pictures(COUNT, 3)


class StandInPredictor:
    """Whether the three channels are bright on average."""

    names, identity = ("Red", "Green", "Blue"), "embedded-stand-in"

    def __init__(self) -> None:
        self.calls = 0

    def answers(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.mean((2, 3)) > 0


@pytest.fixture
def networks(stand_in: nn.Module) -> Networks:
    made = Networks("cpu")
    made._extractors[("embedded", "none")] = PooledFeatures(stand_in)
    made._perceptual["embedded"] = PerceptualDistance(FeatureDistance(stand_in))
    made._predictors["embedded"] = StandInPredictor()  # type: ignore[assignment]
    return made


def build(protocol: MetricProtocol, networks: Networks, **changes: Any) -> Measure:
    (measure,) = build_measures([replace(protocol, **changes)], networks=networks)
    return measure


def batch(start: int, stop: int, label: str = "") -> Batch:
    part = slice(start, stop)
    return Batch(FAKES[part], FULL[part], SECOND[part], label)


def gathered(measure: Measure, size: int, start: int = 0, stop: int = COUNT) -> Any:
    state = measure.empty()
    for first in range(start, stop, size):
        measure.add(state, batch(first, min(first + size, stop)), first)
    return state


def reals_of(measure: Measure, size: int = 20) -> Any:
    state = measure.real_empty()
    if measure.needs_reals:
        for first in range(0, len(REALS), size):
            measure.add_reals(state, Batch(REALS[first : first + size]), first)
    return state


@pytest.mark.parametrize("protocol", EMBEDDED, ids=lambda protocol: protocol.name)
def test_batches_and_shards_do_not_change_the_value(protocol: MetricProtocol, networks: Networks) -> None:
    measure = build(protocol, networks)
    reals = reals_of(measure)
    whole = measure.values(gathered(measure, COUNT), reals)
    assert whole
    shards = [gathered(measure, 7, *edges) for edges in ((0, 11), (11, 30), (30, COUNT))]
    restored = [type(shard).from_arrays(shard.arrays()) for shard in shards]
    merged = measure.empty()
    for shard in restored:
        merged = merged.merged(shard)
    assert measure.values(merged, reals) == pytest.approx(whole, rel=1e-4)
    assert merged.count == COUNT


@pytest.mark.parametrize("protocol", EMBEDDED, ids=lambda protocol: protocol.name)
def test_samples_beyond_the_protocol_are_ignored(protocol: MetricProtocol, networks: Networks) -> None:
    measure = build(protocol, networks, samples=25)
    state = gathered(measure, 10)
    assert state.count == 25
    reals = reals_of(measure)
    assert measure.values(state, reals) == pytest.approx(
        measure.values(gathered(measure, 5, stop=25), reals), rel=1e-4
    )


@pytest.mark.parametrize("protocol", EMBEDDED, ids=lambda protocol: protocol.name)
def test_values_may_be_asked_for_at_any_time(protocol: MetricProtocol, networks: Networks) -> None:
    measure = build(protocol, networks)
    state, reals = measure.empty(), reals_of(measure)
    assert measure.values(state, reals) == {}
    assert measure.error(state) is None
    for first in range(0, COUNT, 4):
        measure.add(state, batch(first, first + 4), first)
        estimate = measure.values(state, reals)
        assert all(np.isfinite(value) for value in estimate.values())
    assert estimate


@pytest.mark.parametrize("protocol", EMBEDDED, ids=lambda protocol: protocol.name)
def test_records_can_name_the_network_that_judged(protocol: MetricProtocol, networks: Networks) -> None:
    assert build(protocol, networks).network == "embedded-stand-in"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", ["images", "target", "second"])
def test_a_bad_image_is_named_by_architecture_and_sample(value: float, which: str, networks: Networks) -> None:
    measure = build(PROTOCOLS["fd1k_embedded"], networks)
    given = {"images": FAKES[:8].clone(), "target": FULL[:8].clone(), "second": SECOND[:8].clone()}
    given[which][5, 1, 3, 3] = value
    with pytest.raises(UserError, match=r"sample 105 of 0\.5@16: an image is not finite"):
        measure.add(measure.empty(), Batch(**given, label="0.5@16"), 100)


def test_bad_features_are_named_too(networks: Networks) -> None:
    extractor = networks._extractors[("embedded", "none")]
    extractor.network.first.bias.data[0] = float("inf")  # type: ignore[attr-defined]
    measure = build(PROTOCOLS["kd5k_embedded"], networks)
    with pytest.raises(UserError, match="sample 3: the embedded features of an image is not finite"):
        measure.add(measure.empty(), Batch(FAKES[:2]), 3)


def test_features_are_computed_once_for_all_measures(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    extractor, calls = networks._extractors[("embedded", "none")], []
    pooled = extractor.network.pooled  # type: ignore[attr-defined]
    monkeypatch.setattr(extractor.network, "pooled", lambda x: calls.append(len(x)) or pooled(x))  # type: ignore[attr-defined]
    names = ("fd1k_embedded", "fd5k_embedded", "kd5k_embedded", "pr5k3_embedded")
    asked = [build(PROTOCOLS[name], networks) for name in names]
    one = batch(0, 8)
    for measure in asked:
        measure.add(measure.empty(), one, 0)
    assert calls == [8]
    assert [measure.real_key for measure in asked[:2]] == [asked[0].real_key] * 2
    assert asked[2].real_key == asked[3].real_key != asked[0].real_key


def test_the_full_image_is_judged_once_for_all_architectures(networks: Networks) -> None:
    target = Target(FULL[:8])
    consistent, attributes = (
        build(PROTOCOLS[name], networks) for name in ("consistency_embedded", "attribute_consistency_embedded")
    )
    calls: list[int] = []
    features = consistent.perceptual.features  # type: ignore[attr-defined]
    consistent.perceptual.features = lambda x: calls.append(len(x)) or features(x)  # type: ignore[attr-defined]
    for shift in (0.0, 0.1, 0.2):
        one = Batch(FAKES[:8] + shift, target)
        consistent.add(consistent.empty(), one, 0)
        attributes.add(attributes.empty(), one, 0)
    assert len(calls) == 4
    assert attributes.predictor.calls == 4  # type: ignore[attr-defined]


def test_distances_are_those_of_the_features_of_saved_pixels(networks: Networks, stand_in: nn.Module) -> None:
    with torch.no_grad():
        fake = stand_in.pooled(from_uint8(to_uint8(FAKES))).numpy()
        real = stand_in.pooled(from_uint8(REALS)).numpy()
    frechet, kernel = (build(PROTOCOLS[name], networks) for name in ("fd5k_embedded", "kd5k_embedded"))
    state = gathered(frechet, 10)
    expected = frechet_distance(Moments.of(real), Moments.of(fake))
    assert frechet.values(state, reals_of(frechet)) == pytest.approx({"": expected}, rel=1e-4)
    assert kernel.values(gathered(kernel, 10), reals_of(kernel)) == pytest.approx(
        {"": kernel_distance(real, fake)}, rel=1e-4
    )
    published = replace(PROTOCOLS["kid50k_full"], features="embedded", resize="none", subset_size=20)
    subsets = build(published, networks)
    assert subsets.values(gathered(subsets, 10), reals_of(subsets)) == pytest.approx(
        {"": kernel_distance(real, fake, 100, 20)}, rel=1e-4
    )


@pytest.mark.parametrize(("fakes", "biased"), [(12, True), (13, False)])
def test_too_few_images_for_a_covariance_are_said(fakes: int, biased: bool, networks: Networks) -> None:
    measure = build(PROTOCOLS["fd1k_embedded"], networks)
    few = Moments.of(np.random.default_rng(0).normal(size=(fakes, 12)))
    assert measure.is_biased(few, reals_of(measure)) == biased
    assert measure.is_biased(reals_of(measure), few) == biased
    other = build(PROTOCOLS["pr5k3_embedded"], networks)
    assert not other.is_biased(gathered(other, 10, stop=10), reals_of(other))


# ---- comparisons of pairs, against references in float64


def reference_distance(network: nn.Module, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A half of the squared difference of unit feature vectors, mean over places and layers."""
    layers, network = [], deepcopy(network).double()
    for a, b in zip(*(network.features(torch.from_numpy(x)) for x in (one, other)), strict=True):
        a, b = (y.detach().numpy() / np.sqrt((y.detach().numpy() ** 2).sum(1, keepdims=True) + 1e-10) for y in (a, b))
        layers.append(((a - b) ** 2).sum(1).mean((1, 2)))
    return np.mean(layers, axis=0) / 2


@pytest.mark.parametrize("side", [16, 512])
def test_path_length_is_that_of_a_float64_reference(side: int, networks: Networks, stand_in: nn.Module) -> None:
    """Clamped, averaged in squares to 256, distance over epsilon squared, outside percentiles dropped, mean."""
    count = COUNT if side == 16 else 4
    first = pictures(count, 1, side) * 3
    second = first + 3e-2 * pictures(count, 3, side)
    measure = build(PROTOCOLS["ppl1k_wend_embedded"], networks)
    assert measure.sampling == Sampling("const", 1.0, 0, pairs=True)
    state = measure.empty()
    for start in range(0, count, 8):
        measure.add(state, Batch(first[start : start + 8], second=second[start : start + 8]), start)
    ends = [np.clip(x.double().numpy(), -1, 1) for x in (first, second)]
    if side > 256:
        ends = [x.reshape(count, 3, 256, 2, 256, 2).mean((3, 5)) for x in ends]
    distances = np.sort(reference_distance(stand_in, *ends) / 1e-4**2)
    low, high = int(np.floor((count - 1) * 0.01)), int(np.ceil((count - 1) * 0.99))
    kept = distances[(distances >= distances[low]) & (distances <= distances[high])]
    assert measure.values(state) == pytest.approx({"": kept.mean()}, rel=1e-3)
    assert measure.error(state) == pytest.approx(kept.std(ddof=1) / len(kept) ** 0.5, rel=1e-2)


def test_consistency_compares_at_the_architectures_resolution(networks: Networks, stand_in: nn.Module) -> None:
    torch.manual_seed(0)
    space = ArchitectureSpace(resolution=32, multiplier=0.125, channel_cap=64, num_resolutions=3)
    generator = Generator(space, latent_dim=16, mapping_layers=1)
    measure = build(in_training("consistency", "embedded", "embedded", 10), networks)
    architectures = [space.full(), space.uniform(0.5), space.full(16)]
    full, half, low = (
        next(sample(generator, a, measure.protocol.seeds, 10, noise="const")).images for a in architectures
    )
    target, values = Target(full), []
    for images in (full, half, low):
        state = measure.empty()
        measure.add(state, Batch(images, target), 0)
        values.append(measure.values(state)[""])
    assert values[0] == 0
    expected = [
        reference_distance(stand_in, *(np.clip(x.double().numpy(), -1, 1) for x in pair)).mean()
        for pair in ((half, full), (low, antialiased(full, 16)))
    ]
    assert values[1:] == pytest.approx(expected, rel=1e-4)
    state = measure.empty()
    measure.add(state, Batch(low, full, resize=lambda images, side: images[..., ::2, ::2]), 0)
    assert measure.values(state)[""] != pytest.approx(values[2], rel=1e-3)


def test_attributes_agree_in_per_cent(networks: Networks) -> None:
    measure = build(PROTOCOLS["attribute_consistency_embedded"], networks)
    assert measure.sampling == Sampling("const", 0.5, 0, pairs=False)
    target = torch.tensor([[1.0, 1, 1], [1, 1, -1], [-1, 1, 1], [1, -1, 1]])[:, :, None, None].expand(-1, -1, 64, 64)
    images = torch.tensor([[1.0, 1, 1], [1, 1, -1], [-1, 1, -1], [-1, 1, 1]])[:, :, None, None].expand(-1, -1, 16, 16)
    state = measure.empty()
    measure.add(state, Batch(images, target), 0)
    assert measure.values(state) == {"": pytest.approx(75), "Red": 75, "Green": 75, "Blue": 75}


# ---- published networks of random weights


def test_one_pass_of_inception_serves_all_its_metrics(inception: nn.Module) -> None:
    names = ("fid50k_full", "kid50k_full", "is50k")
    asked = build_measures([PROTOCOLS[name] for name in names])
    network = asked[0].extractor.network  # type: ignore[attr-defined]
    calls: list[int] = []
    network.register_forward_hook(lambda module, given, made: calls.append(len(given[0])))
    one = Batch(to_uint8(pictures(3, 4, 32)))
    states = [measure.empty() for measure in asked]
    for measure, state in zip(asked, states, strict=True):
        measure.add(state, one, 0)
    assert calls == [3]
    features, logits = inception(one.images)
    np.testing.assert_allclose(states[1].ordered(), features.numpy(), rtol=1e-4, atol=1e-5)
    shares = torch.softmax(logits.double(), 1).sum(0)
    np.testing.assert_allclose(states[2].shares[0], shares.numpy(), rtol=1e-4)
    assert states[2].counts.tolist() == [3] + [0] * 9


def test_both_ways_of_resizing_share_the_network(inception: nn.Module) -> None:
    full, official = build_measures([PROTOCOLS["fid50k_full"], PROTOCOLS["fid50k"]])
    assert full.extractor.network is official.extractor.network  # type: ignore[attr-defined]
    assert full.real_key != official.real_key


@pytest.mark.parametrize(("count", "splits"), [(40, 10), (43, 10), (7, 3)])
def test_the_splits_of_the_inception_score_are_contiguous_and_even(
    count: int, splits: int, inception: nn.Module
) -> None:
    """Split i begins at the sample i N // splits, as torch-fidelity and NVIDIA cut them."""
    (measure,) = build_measures([replace(PROTOCOLS["is50k"], samples=count, splits=splits)])
    measure.extractor.logits = lambda features: features[:, :1].expand(-1, 1008)  # type: ignore[attr-defined]
    one = Batch(torch.zeros(1, 3, 8, 8))
    one._features[(measure.extractor.identity, "uint8")] = np.zeros((count, 2048), dtype=np.float32)  # type: ignore[attr-defined]
    state = measure.empty()
    measure._add(state, one, 0, count)
    edges = [i * count // splits for i in range(splits + 1)]
    assert state.counts.tolist() == np.diff(edges).tolist()


def test_missing_weights_stop_before_any_image(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    choices = {
        "fid50k_full": "fd5k_embedded", "pr50k3_full": "pr5k3_embedded", "ppl2_wend": "ppl1k_wend_embedded",
        "attribute_consistency": "attribute_consistency_embedded", "is50k": "another metric",
    }  # fmt: skip
    for name, choice in choices.items():
        with pytest.raises(UserError, match=f"metrics={name}: .*Put .* or choose .*{choice}.*: no download"):
            build_measures([PROTOCOLS[name]])


def test_networks_are_loaded_once(monkeypatch: pytest.MonkeyPatch, stand_in: nn.Module) -> None:
    loaded: list[str] = []

    def load(name: str) -> Callable:
        return lambda *_: loaded.append(name) or PerceptualDistance(FeatureDistance(stand_in))

    monkeypatch.setattr(measures, "perceptual_distance", load("lpips"))
    build_measures([PROTOCOLS[name] for name in ("lpips_consistency", "ppl2_wend", "ppl100k_wend")])
    assert loaded == ["lpips"]
