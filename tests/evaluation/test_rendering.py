"""Images of a pass are those of single calls to the bit, whatever runs they share."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from anycost.evaluation.rendering import Rendered
from anycost.metrics.measure import Sampling
from anycost.networks.generator import Generator
from anycost.sampling import sample, seeded_latents


def rendered(generator: Generator, texts: Sequence[str], noise: str = "random", truncation: float = 1.0,
             target: bool = False, pairs: bool = False) -> Rendered:  # fmt: skip
    architectures = {text: generator.space.parse(text) for text in texts}
    return Rendered(generator, architectures, Sampling(noise, truncation, 7, pairs), target, 1e-2)


def single(generator: Generator, text: str, noise: str, truncation: float) -> Tensor:
    """Samples 2 to 5 by a call for this architecture alone."""
    architecture = generator.space.parse(text)
    return next(sample(generator, architecture, range(9, 12), 3, noise=noise, truncation=truncation)).images  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [False, True])
@pytest.mark.parametrize("noise", ["random", "const"])
@pytest.mark.parametrize("texts", [
    ["0.5@8", "full", "0.5", "full@8"], ["full@8", "0.25@8"], ["0.5", "full@4", "full"], ["0.5@8"],
])
def test_images_are_those_of_single_calls(generator: Generator, texts: list[str], noise: str, target: bool) -> None:
    (columns,) = rendered(generator, texts, noise, target=target).batches([(2, 5)])
    for text, batch in zip(texts, columns, strict=True):
        assert batch.label == text
        assert torch.equal(batch.images, single(generator, text, noise, 1.0))
        assert (batch.target is not None) == target
        if batch.target:
            assert torch.equal(batch.target.images, single(generator, "full", noise, 1.0))


def test_batches_drawn_ahead_are_the_same(generator: Generator) -> None:
    ranges = [(0, 3), (3, 4), (4, 9)]
    source, other = (rendered(generator, ["0.5", "full@8"], pairs=True) for _ in range(2))
    source.ahead = True
    for columns, expected in zip(source.batches(ranges), other.batches(ranges), strict=True):
        for batch, same in zip(columns, expected, strict=True):
            assert torch.equal(batch.images, same.images)
            assert batch.second is not None
            assert same.second is not None
            assert torch.equal(batch.second, same.second)


def test_truncation(generator: Generator) -> None:
    (columns,) = rendered(generator, ["0.5"], "const", truncation=0.5).batches([(2, 5)])
    assert torch.equal(next(columns).images, single(generator, "0.5", "const", 0.5))


def test_a_lower_output_costs_no_run_of_its_own(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    synthesize = generator.synthesize
    monkeypatch.setattr(generator, "synthesize", lambda *a: runs.append(a[1].key) or synthesize(*a))  # type: ignore[func-returns-value]
    (columns,) = rendered(generator, ["full@8", "full", "0.25@8", "full@4"], target=True).batches([(0, 2)])
    assert len(list(columns)) == 4
    assert runs == [generator.space.full().key, generator.space.parse("0.25@8").key]


def test_the_other_end_of_a_pair_is_a_little_further(generator: Generator) -> None:
    """With the same noise, so that nothing but the style moves."""
    (columns,) = rendered(generator, ["0.5"], "const", pairs=True).batches([(2, 5)])
    batch = next(columns)
    assert batch.second is not None
    from anycost.randomness import normal

    w = generator.mapping(seeded_latents(generator, range(9, 12)))
    w2 = generator.mapping(normal(0, "sample-second-latent", range(9, 12), (8,)))
    moved = generator(w + 0.01 * (w2 - w), generator.space.parse("0.5"), latents_in="w")
    torch.testing.assert_close(batch.second, moved, rtol=1e-5, atol=1e-5)
    assert not torch.equal(batch.images, batch.second)
