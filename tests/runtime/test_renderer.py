"""A renderer serves many architectures from any number of threads, and takes no more memory for it."""

import gc
import os
import random
import threading
import time
import weakref

import pytest
import torch
from torch import Tensor

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.runtime import Cancelled, Renderer, freeze, renderer

SPACE = ArchitectureSpace(32, 0.125, 64, 3)


def test_renders_what_freeze_renders(generator: Generator, levels: str) -> None:
    shared, rng = Renderer(generator, "float32"), random.Random(0)
    w = torch.randn(2, 16)
    for _ in range(20):
        architecture = SPACE.sample(rng, "flexible", rng.choice(SPACE.resolutions))
        alone = freeze(generator, architecture, "float32")
        for noise in ("const", "none"):
            torch.testing.assert_close(shared.render(w, architecture, noise), alone(w, noise), rtol=1e-5, atol=1e-5)
    assert torch.equal(shared.render(w), shared.render(w, SPACE.full()))


def test_architectures_share_what_they_can(generator: Generator) -> None:
    shared = Renderer(generator, "float32")
    full, lower = shared.frozen(SPACE.full()), shared.frozen(SPACE.full(16))
    assert shared.frozen(SPACE.full()) is full
    taken = shared.kept_bytes
    shared.frozen(SPACE.full(8))
    assert shared.kept_bytes == taken
    assert set(lower.own_layers()) < set(full.own_layers())
    beyond = SPACE.from_channels((*SPACE.full(16).channels[:6], 4, 4), 16)
    assert shared.frozen(beyond) is lower


def test_what_is_kept_is_bounded(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, rng = Renderer(generator, "float32"), random.Random(0)
    shared.frozen(SPACE.full())
    monkeypatch.setattr(renderer, "KEPT_BYTES", 2 * shared.kept_bytes)
    w = torch.randn(1, 16)
    for _ in range(30):
        architecture = SPACE.sample(rng, "flexible")
        image = shared.render(w, architecture)
        assert shared.kept_bytes <= renderer.KEPT_BYTES
        assert shared.frozen(architecture) is shared.frozen(architecture)
    assert torch.equal(shared.render(w, architecture), image)
    monkeypatch.setattr(renderer, "KEPT_BYTES", 0)
    assert torch.equal(shared.render(w), freeze(generator, SPACE.full(), "float32")(w))


def test_architectures_without_weights_of_their_own_are_forgotten_too(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "KEPT_ARCHITECTURES", 5)
    shared, rng = Renderer(generator, "float32"), random.Random(0)
    made = [weakref.ref(shared.frozen(SPACE.sample(rng, "flexible"))) for _ in range(20)]
    gc.collect()
    assert sum(one() is not None for one in made) == 5
    assert all(one() is not None for one in made[-5:])


def test_mapping_and_styles_are_the_generators(generator: Generator) -> None:
    shared, z = Renderer(generator), torch.randn(3, 16)
    assert torch.equal(shared.mapping(z), generator.mapping(z))
    two = torch.randn(3, 2, 16)
    assert torch.equal(shared.styles(two, mixing_cutoff=3), generator.styles(two, mixing_cutoff=3))
    center = generator.truncation_center()
    truncated = shared.styles(z, "w", truncation=0.5)
    assert torch.equal(truncated, generator.styles(z, "w", truncation=0.5, truncation_mean=center))
    torch.testing.assert_close(truncated[:, 0], (z + center) / 2)
    assert torch.equal(shared.styles(z, "z", truncation=0.0)[:, 2], center.expand(3, -1))


def test_truncation_pulls_to_the_mean_that_came_with_the_weights(generator: Generator) -> None:
    own = Generator(SPACE, latent_dim=16, mapping_layers=2).requires_grad_(False)
    own.truncation_mean = torch.linspace(-1, 1, 16)
    assert torch.equal(Renderer(own).styles(torch.randn(1, 16), truncation=0.0)[0, 0], own.truncation_mean)


def test_threads_of_the_caller_come_back(generator: Generator) -> None:
    torch.set_num_threads(1)
    seen = []
    shared = Renderer(generator, threads=2)
    shared.render(torch.randn(1, 16), cancelled=lambda: bool(seen.append(torch.get_num_threads())))
    assert set(seen) == {2}
    with pytest.raises(Cancelled):
        shared.render(torch.randn(1, 16), cancelled=lambda: True)
    assert torch.get_num_threads() == 1


def test_an_architecture_that_does_not_fit(generator: Generator) -> None:
    with pytest.raises(UserError, match="does not fit a generator of 32 px"):
        Renderer(generator).render(torch.randn(1, 16), ArchitectureSpace(64, 0.25, 128, 4).full())


# ---- threads


def render_from_threads(shared: Renderer, seconds: float, threads: int = 8) -> tuple[int, list[int]]:
    """Render known pictures of different architectures from several threads; how many, and the memory seen.

    Every picture is compared with what one thread rendered before; a wrong one fails.
    """
    rng = random.Random(0)
    known: list[tuple[Tensor, Architecture, str, Tensor]] = []
    for _ in range(24):
        architecture = SPACE.sample(rng, "flexible", rng.choice(SPACE.resolutions))
        w, noise = torch.randn(rng.choice([1, 3]), 16), rng.choice(["const", "none"])
        known.append((w, architecture, noise, shared.render(w, architecture, noise)))
    wrong: list[str] = []
    counts, memory = [0] * threads, []
    end = time.monotonic() + seconds

    def work(worker: int) -> None:
        own = random.Random(worker)
        while (time.monotonic() < end or not counts[worker]) and not wrong:
            w, architecture, noise, image = own.choice(known)
            if own.random() < 0.1:
                asked = iter([False, True])
                try:
                    shared.render(w, architecture, noise, cancelled=lambda asked=asked: next(asked))
                    wrong.append("not cancelled")
                except Cancelled:
                    continue
            if not torch.allclose(shared.render(w, architecture, noise), image, rtol=1e-5, atol=1e-5):
                wrong.append(SPACE.label(architecture))
            counts[worker] += 1

    workers = [threading.Thread(target=work, args=(worker,)) for worker in range(threads)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        memory.append(resident_bytes())
        time.sleep(seconds / 20)
    for worker in workers:
        worker.join()
    assert not wrong
    return sum(counts), memory


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_eight_threads_render_right(generator: Generator, levels: str) -> None:
    count, _ = render_from_threads(Renderer(generator, "float32", threads=1), seconds=1.0)
    assert count > 8


@pytest.mark.slow
def test_eight_threads_for_long_take_no_more_memory(generator: Generator, levels: str) -> None:
    _, memory = render_from_threads(Renderer(generator, "float32", threads=1), seconds=8.0)
    settled = memory[len(memory) // 3 :]
    assert settled[-1] < settled[0] + (16 << 20)


def test_a_slow_picture_does_not_stop_the_others(generator: Generator) -> None:
    shared, w = Renderer(generator, "float32"), torch.randn(1, 16)
    image, inside, release = shared.render(w), threading.Event(), threading.Event()

    def wait() -> bool:
        inside.set()
        release.wait(20)
        return False

    found: list[Tensor] = []
    slow = threading.Thread(target=lambda: found.append(shared.render(w, cancelled=wait)))
    slow.start()
    assert inside.wait(20)
    assert torch.equal(shared.render(w), image)
    shared.render(w, SPACE.uniform(0.25, 16))
    release.set()
    slow.join(20)
    assert torch.equal(found[0], image)


