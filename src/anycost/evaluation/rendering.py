"""Where the images of a pass come from: a generator, a folder of pictures, or the real data.

Every source answers `batches(ranges)`: for each range of samples, one `Batch` per column of the pass.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from anycost.architecture import Architecture
from anycost.configuration.schema import DataConfig
from anycost.data.datasets import Pyramids, Source, identity, open_pyramids
from anycost.evaluation.pictures import GivenPictures
from anycost.metrics.batches import Batch, Resize, Target, antialiased
from anycost.metrics.features import full_precision
from anycost.metrics.measure import Sampling
from anycost.networks.generator import Generator
from anycost.randomness import normal
from anycost.sampling import seeded_latents, seeded_noise
from anycost.signals import shield_worker

Range = tuple[int, int]


@dataclass
class Rendered:
    """Images of `architectures` (by label), all of the same seeds: what they share is drawn and computed once a batch.

    Shared are latents, styles, noise maps and, where `with_target`, the full generator's image. A lower output is
    taken from the run of a higher one that has the same channels so far. With `sampling.pairs` a batch also has the
    images a little further (`epsilon`) on the way to another style in W. `resize` is the filter that brings the full
    generator's image to another resolution; with `imitated`, the target is the image of that generator instead.
    """

    generator: Generator
    architectures: Mapping[str, Architecture]
    sampling: Sampling
    with_target: bool
    epsilon: float = 0.0
    resize: Resize = antialiased
    imitated: Generator | None = None
    ahead: bool | None = None  # draw the next batch while this one is rendered; default: where there is a GPU

    def __post_init__(self) -> None:
        self._full = self.generator.space.full()
        own_target = self.with_target and self.imitated is None
        self._hosts = _hosts([*([self._full] if own_target else []), *self.architectures.values()])
        self._highest = max(host.resolution for host in self._hosts.values())
        if self.with_target and self.imitated is not None:
            self._highest = max(self._highest, self.imitated.space.resolution)
        self._mean = self.generator.truncation_center() if self.sampling.truncation != 1 else None

    def batches(self, ranges: Iterable[Range]) -> Iterator[Iterator[Batch]]:
        """Samples `first` to `stop` at every architecture, in their order."""
        ahead = self.generator.constant.device.type != "cpu" if self.ahead is None else self.ahead
        seeds = (range(self.sampling.seed + first, self.sampling.seed + stop) for first, stop in ranges)
        drawn = self._drawn_ahead(seeds) if ahead else map(self._draw, seeds)
        yield from map(self._columns, drawn)

    def _drawn_ahead(self, batches: Iterable[range]) -> Iterator["_Drawn"]:
        """Random numbers are drawn on the CPU, the same for every device: one batch before they are needed."""
        with ThreadPoolExecutor(1) as pool:
            waiting: deque[Future[_Drawn]] = deque()
            for seeds in batches:
                waiting.append(pool.submit(self._draw, seeds))
                if len(waiting) > 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _draw(self, seeds: Sequence[int]) -> "_Drawn":
        other = normal(0, "sample-second-latent", seeds, (self.generator.latent_dim,)) if self.sampling.pairs else None
        return _Drawn(
            seeded_latents(self.generator, seeds),
            other.to(self.generator.constant) if other is not None else None,
            seeded_noise(self.generator, seeds, self._highest) if self.sampling.noise == "random" else "const",
        )

    def _columns(self, drawn: "_Drawn") -> Iterator[Batch]:
        styles = self._styles(drawn.latents)
        first, second = _Runs(self, styles, drawn.noise), None
        if drawn.other is not None:
            second = _Runs(self, torch.lerp(styles, self._styles(drawn.other), self.epsilon), drawn.noise)
        target = Target(self._compared(drawn, first), self.resize) if self.with_target else None
        for label, architecture in self.architectures.items():
            images = first.images(architecture)
            yield Batch(images, target, second.images(architecture) if second else None, label)

    @torch.no_grad()
    def _compared(self, drawn: "_Drawn", own: "_Runs") -> Tensor:
        """Images of the full generator, or of the one that is imitated."""
        wide, psi = self.imitated, self.sampling.truncation
        if wide is None:
            return own.images(self._full, keep=True)
        mean = wide.truncation_center() if psi != 1 else None
        with full_precision(drawn.latents.device.type):
            return wide(drawn.latents, truncation=psi, truncation_mean=mean, noise=drawn.noise)

    @torch.no_grad()
    def _styles(self, latents: Tensor) -> Tensor:
        with full_precision(latents.device.type):
            return self.generator.styles(latents, truncation=self.sampling.truncation, truncation_mean=self._mean)


@dataclass(frozen=True)
class _Drawn:
    """The random numbers of one batch: latents, those of the other ends of pairs, noise maps."""

    latents: Tensor
    other: Tensor | None
    noise: str | list[Tensor]


class _Runs:
    """Runs of the generator on one batch of styles; each serves all architectures that it passes through."""

    def __init__(self, rendered: Rendered, styles: Tensor, noise: str | list[Tensor]) -> None:
        self.rendered, self.styles, self.noise = rendered, styles, noise
        self.waiting: dict[Key, Tensor] = {}

    @torch.no_grad()
    def images(self, architecture: Architecture, keep: bool = False) -> Tensor:
        """The images of one architecture, forgotten afterwards unless they are to be asked for again."""
        key = architecture.key
        if key not in self.waiting:
            hosts = self.rendered._hosts
            host = hosts[key]
            guests = [other for other, its_host in hosts.items() if its_host is host]
            wanted = tuple(sorted({resolution for resolution, _ in guests}))
            with full_precision(self.styles.device.type):
                made = self.rendered.generator.synthesize(self.styles, host, self.noise, wanted)
            self.waiting |= {guest: made[guest[0]] for guest in guests}
        return self.waiting[key] if keep else self.waiting.pop(key)


Key = tuple[int, tuple[int, ...]]


def _hosts(architectures: Iterable[Architecture]) -> dict[Key, Architecture]:
    """By what is executed, the highest of the architectures whose run passes through it."""
    highest = sorted(architectures, key=lambda one: -one.resolution)
    return {
        one.key: next(host for host in highest if host.key[1][: len(one.key[1])] == one.key[1]) for one in highest
    }


@dataclass
class Given:
    """Pictures from elsewhere: one column."""

    pictures: GivenPictures
    device: torch.device

    def batches(self, ranges: Iterable[Range]) -> Iterator[Iterator[Batch]]:
        """Pictures `first` to `stop`."""
        for first, stop in ranges:
            yield iter([Batch(self.pictures.read(first, stop).to(self.device), label=str(self.pictures.path))])


@dataclass
class Reals:
    """Real images, unflipped, in the order of the source, filtered as in training: one column per resolution.

    Each picture is decoded or drawn once for all `resolutions`.
    """

    source: Source
    config: DataConfig
    resolutions: Sequence[int]
    device: torch.device

    def batches(self, ranges: Iterable[Range]) -> Iterator[Iterator[Batch]]:
        """Real images `first` to `stop`, read ahead by `data.workers` processes."""
        wanted = sorted({*self.resolutions, self.config.resolution})
        pyramids = open_pyramids(self.source, wanted, self.config.filter, self.config.padding)
        places = [list(range(*one)) for one in ranges]
        loader = DataLoader(
            _AllResolutions(pyramids), batch_sampler=places, collate_fn=identity,  # type: ignore[arg-type]
            num_workers=self.config.workers if len(places) > 1 else 0, worker_init_fn=shield_worker,
        )  # fmt: skip
        for images in loader:
            yield (Batch(images[r].to(self.device), label=f"the real images at {r} px") for r in self.resolutions)


class _AllResolutions(Dataset):
    """The pyramids of a source, fetched by lists of places."""

    def __init__(self, pyramids: Pyramids) -> None:
        self._pyramids = pyramids

    def __getitems__(self, places: Sequence[int]) -> dict[int, Tensor]:
        return self._pyramids(places)
