"""A frozen sub-generator renders what the plain definition in float64 renders, in every form of its arguments."""

import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.generator import Generator
from anycost.runtime import Cancelled, fastest_dtype, freeze, onednn
from anycost.runtime.dtypes import has_fast_bf16

SPACE = ArchitectureSpace(32, 0.125, 64, 3)
TOLERANCE = 1e-5
Reference = Callable[..., Tensor]


def relative_error(image: Tensor, true: Tensor) -> float:
    """Largest difference, as a share of the largest true value."""
    assert image.shape == true.shape
    return ((image.double() - true).abs().max() / true.abs().max()).item()


def draw_w_plus(batch: int, seed: int) -> Tensor:
    return torch.randn(batch, SPACE.num_points, 16, generator=torch.Generator().manual_seed(seed))


def psnr(image: Tensor, true: Tensor) -> float:
    """dB of images brought to a deviation of 0.5, clamped to [-1, 1]."""
    scale = 0.5 / true.std()
    error = (image.double() * scale).clamp(-1, 1) - (true * scale).clamp(-1, 1)
    return (10 * torch.log10(4 / error.square().mean())).item()


def test_a_thousand_random_architectures(generator: Generator, reference: Reference, levels: str) -> None:
    rng = random.Random(levels)
    for seed in range(500):
        mode = rng.choice(["uniform", "flexible", "sandwich"])
        architecture = SPACE.sample(rng, mode, rng.choice(SPACE.resolutions))
        w_plus = draw_w_plus(1, seed)
        image = freeze(generator, architecture, torch.float32)(w_plus)
        assert image.dtype == torch.float32
        assert relative_error(image, reference(w_plus, architecture)) < TOLERANCE, SPACE.label(architecture)


@given(batch=st.integers(1, 5), seed=st.integers(0, 999), resolution=st.sampled_from([4, 8, 16, 32]))
def test_any_batch_and_any_noise(generator: Generator, reference: Reference, batch: int, seed: int,
                                 resolution: int) -> None:  # fmt: skip
    architecture = SPACE.uniform(0.5, resolution)
    frozen = freeze(generator, architecture, torch.float32)
    w_plus = draw_w_plus(batch, seed)
    shapes = generator.noise_shapes(resolution)
    for noise in ("const", "none", [torch.randn(1, *shape) for shape in shapes],
                  [torch.randn(batch, *shape) for shape in shapes]):  # fmt: skip
        full_length = noise if isinstance(noise, str) else [*noise, *[None] * 9]
        assert relative_error(frozen(w_plus, noise), reference(w_plus, architecture, full_length)) < TOLERANCE


def test_pictures_of_a_batch_do_not_touch(generator: Generator, levels: str) -> None:
    frozen = freeze(generator, dtype=torch.float32)
    w_plus = draw_w_plus(4, 0)
    noise = [torch.randn(4, *shape) for shape in generator.noise_shapes()]
    together = frozen(w_plus, noise)
    for sample in range(4):
        one = slice(sample, sample + 1)
        alone = frozen(w_plus[one], [one_map[one] for one_map in noise])
        assert relative_error(alone, together[one].double()) < 1e-6
    broken = w_plus.clone()
    broken[1] = float("nan")
    image = frozen(broken, noise)
    assert image[1].isnan().all()
    assert relative_error(image[[0, 2, 3]], together[[0, 2, 3]].double()) < 1e-6


def test_w_is_one_code_for_all_layers(generator: Generator, levels: str) -> None:
    architecture = SPACE.uniform(0.75, 16)
    frozen = freeze(generator, architecture, torch.float32)
    assert frozen.num_styles == 6
    assert frozen.architecture is architecture
    w = torch.randn(2, 16)
    image = frozen(w)
    assert torch.equal(image, frozen(w[:, None].expand(-1, 6, -1)))
    longer = torch.cat([w[:, None].expand(-1, 6, -1), torch.full((2, 3, 16), float("nan"))], dim=1)
    assert torch.equal(image, frozen(longer))
    assert not image.requires_grad


def test_random_noise_is_new_for_every_sample(generator: Generator, reference: Reference, levels: str) -> None:
    frozen = freeze(generator, dtype=torch.float32)
    w = torch.randn(1, 16).expand(3, -1)
    first, second, third = frozen(w, "random")
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    torch.manual_seed(5)
    again = frozen(w, "random")
    torch.manual_seed(5)
    maps = [torch.randn(3, *shape) for shape in generator.noise_shapes()]
    assert relative_error(again, reference(w[:, None].expand(-1, SPACE.num_points, -1), SPACE.full(), maps)) < TOLERANCE


def test_without_strength_noise_counts_nothing(generator: Generator, levels: str) -> None:
    silent = Generator(SPACE, latent_dim=16, mapping_layers=2).requires_grad_(False)
    frozen = freeze(silent, dtype=torch.float32)
    w = torch.randn(1, 16)
    assert torch.equal(frozen(w, "const"), frozen(w, "none"))


def test_later_changes_of_the_generator_do_not_reach_it(generator: Generator, levels: str) -> None:
    changing = Generator(SPACE, latent_dim=16, mapping_layers=2).requires_grad_(False)
    before = {name: value.clone() for name, value in changing.state_dict().items()}
    frozen = freeze(changing, SPACE.uniform(0.5), torch.float32)
    w = torch.randn(1, 16)
    image = frozen(w)
    assert all(torch.equal(value, before[name]) for name, value in changing.state_dict().items())
    for value in changing.state_dict().values():
        value.fill_(7)
    assert torch.equal(frozen(w), image)


def test_other_backends_render_the_same(
    generator: Generator, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "available", lambda dtype, device: False)
    w_plus = draw_w_plus(3, 1)
    for architecture in (SPACE.full(), SPACE.uniform(0.25, 16)):
        for dtype in (torch.float32, torch.bfloat16):
            image = freeze(generator, architecture, dtype)(w_plus)
            true = reference(w_plus, architecture)
            assert psnr(image, true) > (110 if dtype == torch.float32 else 40)


def test_operators_that_fail_or_err_are_not_used(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another PyTorch may have changed them: what fails with its first call is found out when something is frozen."""
    cpu, w = torch.device("cpu"), torch.randn(1, 16)
    image = freeze(generator, dtype="float32")(w)
    assert onednn.available(torch.float32, cpu), "the tests need a machine where they work"

    def renamed(*_: object, **__: object) -> Tensor:
        raise TypeError("got an unexpected argument")

    def wrong(x: Tensor, packed: Tensor, padding: list[int], groups: int = 1, right: Reference = onednn.conv) -> Tensor:
        return right(x, packed, padding, groups) * 1.1

    for broken in (renamed, wrong):
        with monkeypatch.context() as patch:
            patch.setattr(onednn, "conv", broken)
            onednn._works.cache_clear()
            assert not onednn.available(torch.float32, cpu)
            torch.testing.assert_close(freeze(generator, dtype="float32")(w), image, rtol=1e-4, atol=1e-4)
        onednn._works.cache_clear()


def test_bfloat16_on_a_processor_without(generator: Generator) -> None:
    """Slow there, but no crash. oneDNN reads its limit once, so it needs a process of its own."""
    program = """
        import torch
        from anycost.architecture import ArchitectureSpace
        from anycost.networks.generator import Generator
        from anycost.runtime import freeze
        generator = Generator(ArchitectureSpace(16, 0.125, 32, 2), latent_dim=8, mapping_layers=1)
        print(freeze(generator, dtype="bfloat16")(torch.zeros(1, 8)).isfinite().all().item())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True,
                          env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}, timeout=240)  # fmt: skip
    assert done.stdout.strip() == "True", done.stderr


# ---- dtypes


def test_bfloat16_keeps_forty_decibels(generator: Generator, reference: Reference, levels: str) -> None:
    w_plus = draw_w_plus(4, 2)
    for architecture in (SPACE.full(), SPACE.uniform(0.25, 16)):
        frozen = freeze(generator, architecture, torch.bfloat16)
        image = frozen(w_plus)
        assert frozen.dtype == torch.bfloat16
        assert image.dtype == torch.float32
        assert psnr(image, reference(w_plus, architecture)) > 40


def test_auto_is_the_fastest_dtype(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert freeze(generator).dtype == fastest_dtype("cpu")
    assert (fastest_dtype("cpu") == torch.bfloat16) == has_fast_bf16(cuda=False)
    for avx512, amx, expected in [(True, False, torch.bfloat16), (False, True, torch.bfloat16),
                                  (False, False, torch.float32)]:  # fmt: skip
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda value=avx512: value)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda value=amx: value)
        assert fastest_dtype() == expected


def test_autocast_of_the_caller_changes_nothing(generator: Generator) -> None:
    frozen, w = freeze(generator, dtype="float32"), torch.randn(2, 16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = frozen(w)
    assert torch.equal(inside, frozen(w))


def test_inference_mode_and_back(generator: Generator, levels: str) -> None:
    frozen, w = freeze(generator, dtype="float32"), torch.randn(2, 16)
    with torch.inference_mode():
        inside = frozen(w)
    assert torch.equal(inside, frozen(w))
    assert torch.equal(frozen(inside.new_tensor(w.tolist())), inside)


def test_an_empty_batch_is_an_empty_picture(generator: Generator, levels: str) -> None:
    assert freeze(generator, SPACE.full(16))(torch.randn(0, 16)).shape == (0, 3, 16, 16)


def test_it_can_be_neither_moved_nor_converted(generator: Generator) -> None:
    frozen, w = freeze(generator, dtype="float32"), torch.randn(1, 16)
    image = frozen(w)
    for change in (frozen.double, frozen.bfloat16, lambda: torch.nn.Sequential(frozen).to("meta")):
        with pytest.raises(UserError, match="a frozen generator cannot be moved or converted; freeze again"):
            change()
    assert torch.equal(frozen(w), image)


def test_a_generator_in_float64_is_frozen_too(generator: Generator) -> None:
    w = torch.randn(1, 16)
    double = Generator(SPACE, latent_dim=16, mapping_layers=2).requires_grad_(False)
    double.load_state_dict(generator.state_dict())
    image = freeze(double.double(), dtype="float32")(w.double())
    assert relative_error(image, freeze(generator, dtype="float32")(w).double()) < 1e-6


# ---- cancellation


@pytest.mark.parametrize("after", [0, 1, 3])
def test_cancelled_between_blocks(generator: Generator, levels: str, after: int) -> None:
    frozen, w = freeze(generator, dtype="float32"), torch.randn(1, 16)
    image = frozen(w)
    asked = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > after

    with pytest.raises(Cancelled):
        frozen(w, cancelled=cancelled)
    assert len(asked) == after + 1
    assert torch.equal(frozen(w, cancelled=lambda: False), image)


# ---- mistakes


@pytest.mark.parametrize("shape", [(16,), (1, 15), (1, 7, 16), (1, 8, 15), (1, 1, 8, 16)])
def test_codes_of_other_shapes_are_named(generator: Generator, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"w of shape .* does not fit: \[B, 16\] or \[B, 8 or more, 16\]"):
        freeze(generator)(torch.randn(shape))


def test_wrong_noise_is_named(generator: Generator) -> None:
    frozen, w = freeze(generator), torch.randn(2, 16)
    maps = [torch.randn(2, *shape) for shape in generator.noise_shapes()]
    with pytest.raises(UserError, match="noise=loud is not one of const, random, none"):
        frozen(w, "loud")
    with pytest.raises(UserError, match="6 noise maps were given; 7 layers run"):
        frozen(w, maps[:6])
    for wrong in (torch.randn(3, 1, 8, 8), torch.randn(2, 1, 4, 4), torch.randn(1, 8, 8)):
        with pytest.raises(UserError, match=r"noise map 1 has the shape .*; \[1 or 2, 1, 8, 8\] is needed"):
            frozen(w, [maps[0], wrong, *maps[2:]])


@pytest.mark.parametrize("dtype", ["float8", torch.int32, torch.float64])
def test_unknown_dtypes(generator: Generator, dtype: torch.dtype | str) -> None:
    with pytest.raises(UserError, match="is not one of auto, float32, bfloat16, float16"):
        freeze(generator, dtype=dtype)


def test_half_precision_needs_a_gpu(generator: Generator) -> None:
    with pytest.raises(UserError, match="dtype=float16 needs a GPU"):
        freeze(generator, dtype="float16", device="cpu")


def test_an_architecture_of_another_generator(generator: Generator) -> None:
    with pytest.raises(UserError, match="does not fit a generator of 32 px"):
        freeze(generator, ArchitectureSpace(64, 0.25, 128, 4).full())
