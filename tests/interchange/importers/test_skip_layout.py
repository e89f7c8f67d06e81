"""Checkpoints of rosinality's StyleGAN2 and of the official Anycost code render what their own networks render."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from anycost.errors import UserError
from anycost.interchange.importers import Imported, convert
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator

Import = Callable[..., Imported]
Build = Callable[..., Generator]
BuildDiscriminator = Callable[..., Discriminator]
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
WIDTHS = (16, 16, 16, 8)


def images(resolution: int) -> Tensor:
    return torch.randn(8, 3, resolution, resolution, dtype=torch.float64)


@pytest.mark.parametrize("widths", [WIDTHS, (6, 5), (7,)])
@pytest.mark.parametrize("wrapped", [True, False])
def test_generator(originals: ModuleType, imported: Import, generator_of: Build, widths: tuple[int, ...],
                   wrapped: bool) -> None:
    """Published files hold `g_ema`; some that go round hold the state dict itself."""
    state = originals.skip.generator(originals.Shape(widths))
    generator = generator_of(imported({"g_ema": state} if wrapped else state))
    z = torch.randn(3, 16, dtype=torch.float64)
    w = originals.skip.mapping(state, z)
    torch.testing.assert_close(generator.mapping(z), w, **CLOSE)
    torch.testing.assert_close(generator(z), originals.skip.synthesis(state, w), **CLOSE)
    torch.testing.assert_close(generator(z, noise="none"), originals.skip.synthesis(state, w, noise=False), **CLOSE)


@pytest.mark.parametrize("file", ["trainer", "converter"])
def test_truncation_mean_and_single_discriminator(originals: ModuleType, imported: Import, generator_of: Build,
                                                  discriminator_of: BuildDiscriminator, file: str) -> None:
    shape = originals.Shape(WIDTHS)
    state, mean = originals.skip.generator(shape), torch.randn(16, dtype=torch.float64)
    content = {"g_ema": state, "d": originals.skip.discriminator(shape)}
    content |= {"g_optim": {}, "d_optim": {}, "ada_aug_p": 0.0} if file == "trainer" else {}
    result = imported(content | {"latent_avg": mean})
    assert result.header.card["source"] == "rosinality StyleGAN2 checkpoint"
    assert result.header.kind == "training"
    w = torch.lerp(mean, originals.skip.mapping(state, z := torch.randn(2, 16, dtype=torch.float64)), 0.5)
    generator = generator_of(result)
    found = generator(z, truncation=0.5, truncation_mean=generator.truncation_center())
    torch.testing.assert_close(found, originals.skip.synthesis(state, w), **CLOSE)
    x = images(32)
    torch.testing.assert_close(discriminator_of(result)(x), originals.skip.logits(content["d"], x), **CLOSE)


@pytest.mark.parametrize(("stated", "expected"), [(0.004, 0.004), (3, 1 / 256), ("2", 1 / 256), (None, 1 / 256)])
def test_multiplier_of_the_arguments(originals: ModuleType, tmp_path: Path, stated: object, expected: float) -> None:
    """rosinality's trainer keeps its `argparse.Namespace`; where it fits the widths, it decides."""
    state = originals.skip.generator(originals.Shape((16, 8)))
    torch.save({"g_ema": state, "args": Namespace(channel_multiplier=stated, size=8)}, tmp_path / "checkpoint.pt")
    space = convert(tmp_path / "checkpoint.pt").header.space
    assert (space["multiplier"], space["channel_cap"], space["channels"]) == (expected, 512, None)


# ---- the official trainer's checkpoints


@pytest.mark.parametrize(("inputs", "conditioned", "several"), [(1, False, False), (1, False, True), (3, False, True),
                                                                (2, True, True), (3, True, True)])
def test_discriminators_of_the_trainer(originals: ModuleType, imported: Import, discriminator_of: BuildDiscriminator,
                                       inputs: int, conditioned: bool, several: bool) -> None:
    shape = originals.Shape(WIDTHS)
    state = originals.skip.discriminator(shape, inputs, conditioned, several)
    content = {"g": originals.skip.generator(shape), "g_ema": originals.skip.generator(shape), "d": state,
               "g_optim": {}, "d_optim": {}, "epoch": 3, "fid": 12.5, "best_fid": 12.0, "mean_path_length": 0.5}
    result = imported(content)
    card = result.header.card
    assert (card["source"], card["epoch"], card["fid"]) == ("official Anycost checkpoint", 3, 12.5)
    assert card["left_out"] == ["g_optim", "d_optim", "mean_path_length"]
    # What is in no form that a card keeps is listed as left out.
    assert imported(content | {"fid": torch.tensor(12.5)}).header.card["left_out"][2] == "fid"
    space = result.header.space
    assert space["num_resolutions"] == inputs
    # Only a discriminator that is told architectures has seen narrow ones, and it says so when it is left out too.
    assert tuple(space["ratios"]) == ((0.25, 0.5, 0.75, 1.0) if conditioned else (1.0,))
    assert imported(content, part="generator").header.space == space
    discriminator = discriminator_of(result, inputs, conditioned)
    code = torch.randn(4 * 8, dtype=torch.float64) if conditioned else None
    for resolution in (32, 16, 8)[:inputs]:
        x = images(resolution)
        torch.testing.assert_close(discriminator(x, code), originals.skip.logits(state, x, code), **CLOSE)


def test_raw_weights_and_the_generator_alone(originals: ModuleType, imported: Import, generator_of: Build) -> None:
    shape = originals.Shape(WIDTHS)
    content = {"g": originals.skip.generator(shape), "g_ema": originals.skip.generator(shape),
               "d": originals.skip.discriminator(shape), "latent_avg": torch.zeros(16)}
    z = torch.randn(2, 16, dtype=torch.float64)
    for weights, key in (("ema", "g_ema"), ("raw", "g")):
        result = imported(content, weights=weights, part="generator")
        assert (result.header.kind, result.header.card["weights"]) == ("generator", weights)
        assert not [name for name in result.tensors if name.startswith("discriminator.")]
        assert ("truncation_mean" in result.tensors) == (weights == "ema"), "it is the averaged generator's"
        expected = originals.skip.synthesis(content[key], originals.skip.mapping(content[key], z))
        torch.testing.assert_close(generator_of(result)(z), expected, **CLOSE)
    with pytest.raises(UserError, match="weights=raw: the file has no g; weights=ema takes the other generator"):
        imported({"g_ema": content["g_ema"]}, weights="raw")


# ---- the values that the official networks gave [A Sec. 15 d]

IMAGES = {
    32: (0.1612618382, 0.2341782821, 0.0497045830, -0.3606893780, 1.2228690965),
    8: (0.0336414440, 0.2012402806, -0.0261428643, -0.0033775724, 0.2810475942),
    4: (-0.0669971779, 0.4895902987, 0.1727036364, -0.0014003108, 0.2404122499),
}
DIGITS = 5.01e-11  # half a unit of the tenth decimal


def pattern(*shape: int) -> Tensor:
    """H(n) = ((37 i^2 + 11 i) mod 101) / 50 - 1, i = 1 .. n, row-major."""
    i = torch.arange(1, torch.Size(shape).numel() + 1)
    return (((37 * i * i + 11 * i) % 101).double() / 50 - 1).reshape(shape)


def value(name: str, tensor: Tensor) -> Tensor:
    """The fill of a tensor of the official generator."""
    if name.endswith(".kernel"):
        return tensor
    h = pattern(*tensor.shape)
    if name.startswith("style."):
        return 100 * h if name.endswith("weight") else 10 * h
    if name.endswith("modulation.bias"):
        return 1 + 0.1 * h
    if name.endswith("noise.weight"):
        return torch.full_like(h, 0.05)
    return 0.1 * h if name.endswith("bias") else h


def filled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value(name, tensor) for name, tensor in state.items()}


def test_reference_images(originals: ModuleType, imported: Import, generator_of: Build) -> None:
    state = filled(originals.skip.generator(originals.Shape((16, 16, 16, 16))))
    generator = generator_of(imported({"g_ema": state}))
    for resolution, image in generator.pyramid(pattern(2, 1, 16), resolutions=tuple(IMAGES)).items():
        found = [image[0, 0, 0, 0], image[0, 1, 2, 3], image[1, 2, -1, -1], image.mean(), image.std(unbiased=False)]
        assert [one.item() for one in found] == pytest.approx(IMAGES[resolution], abs=DIGITS)


@pytest.mark.parametrize(("kind", "step", "expected"), [
    ((2, True, True), 1, (0.0598656779, 0.0594831745, 0.0599523154)),
    ((2, True, True), 2, (0.0605497225, 0.0594752148, 0.0598042954)),
    ((1, False, False), 1, (0.0630127710, 0.0625284464, 0.0627449695)),
])
def test_reference_logits(originals: ModuleType, imported: Import, discriminator_of: BuildDiscriminator,
                          kind: tuple[int, bool, bool], step: int, expected: tuple[float, ...]) -> None:
    shape = originals.Shape((16, 16, 16, 16))
    state = originals.skip.discriminator(shape, *kind)
    state = {name: 0.1 * pattern(*x.shape) if "mapping" in name else value(name, x) for name, x in state.items()}
    result = imported({"g_ema": originals.skip.generator(shape), "d": state})
    code = torch.eye(4, dtype=torch.float64).flatten().repeat(2)  # one-hot of .25, .5, .75, 1, twice
    x = pattern(8, 3, 32, 32)[..., ::step, ::step]
    logits = discriminator_of(result, *kind[:2])(x, code if kind[1] else None)
    assert logits[:3].tolist() == pytest.approx(expected, abs=DIGITS)


# ---- what does not fit


def without(state: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {name: x for name, x in state.items() if name not in names}


@pytest.mark.parametrize(("change", "message"), [
    (lambda s: without(s, "convs.3.conv.weight"), r"convs\.3\.conv\.weight is missing"),
    (lambda s: without(s, *(f"convs.{k}.activate.bias" for k in range(4))),
     r"convs\.0\.activate\.bias, convs\.1\.activate\.bias, convs\.2\.activate\.bias and 1 others are missing"),
    (lambda s: {**s, "convs.0.conv.extra": torch.ones(1)}, r"convs\.0\.conv\.extra is not known"),
    (lambda s: {**s, "style.7.weight": torch.ones(16, 16)}, r"missing, style\.7\.weight is not known"),
    (lambda s: {**s, "convs.1.conv.weight": torch.ones(1, 16, 15, 3, 3)},
     r"convs\.1\.conv\.weight does not fit the other layers: it gives \[16, 15, 3, 3\] where \[16, 16, 3, 3\] is"),
    (lambda s: {**s, "conv1.conv.weight": torch.ones(5)}, r"conv1\.conv\.weight .*\[5\]"),
    (lambda s: {**s, "input.input": torch.ones(())}, r"input\.input has the shape \[\]"),
    (lambda s: {**s, "conv1.noise.weight": torch.ones(2)}, r"conv1\.noise\.weight has the shape \[2\], which does not"),
    (lambda s: {**s, "conv1.activate.bias": torch.full((16,), torch.nan)}, r"activate\.bias holds .* not finite"),
    (lambda s: {**s, "conv1.activate.bias": torch.ones(16, dtype=torch.int64)}, r"conv1\.activate\.bias is not a ten"),
    (lambda s: {**s, "conv1.activate.bias": "none"}, r"conv1\.activate\.bias is not a tensor of real numbers \(str\)"),
    (lambda s: {**s, "convs.0.conv.blur.kernel": torch.ones(4, 4) / 4}, r"blur\.kernel is not the filter \[1, 3, 3, 1"),
    (lambda s: {**s, **{f"to_rgbs.{k}.bias": torch.ones(3) for k in range(40)}}, "not between 4 and 4096 px"),
])
def test_generator_that_does_not_fit(originals: ModuleType, imported: Import, message: str,
                                     change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    state = originals.skip.generator(originals.Shape(WIDTHS))
    with pytest.raises(UserError, match=message):
        imported({"g_ema": change(state)})


@pytest.mark.parametrize(("change", "message"), [
    (lambda s: without(s, "convs.2.skip.1.weight"), "missing"),
    (lambda s: {**s, "final_conv.0.weight": torch.ones(16, 20, 3, 3)}, r"final_conv\.0\.weight does not fit"),
    (lambda s: {**s, "convs.1.skip.0.kernel": torch.ones(4, 4) / 16}, "not the filter"),
    (lambda s: without(s, "convs.0.0.weight"), r"convs\.0\.0\.weight is missing"),
    (lambda s: [1, 2], "is no state dict but list"),
])
def test_discriminator_that_does_not_fit_can_be_left_out(
    originals: ModuleType, imported: Import, message: str, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> None:
    shape = originals.Shape(WIDTHS)
    content = {"g_ema": originals.skip.generator(shape), "d": change(originals.skip.discriminator(shape))}
    with pytest.raises(UserError, match=f"the discriminator: .*{message}.*; part=generator converts"):
        imported(content)
    assert imported(content, part="generator").header.kind == "generator"


@pytest.mark.parametrize("widths", [(16, 16, 16), (16, 16, 16, 8, 8), (16, 16, 16, 4)])
def test_discriminator_of_another_generator(originals: ModuleType, imported: Import, widths: tuple[int, ...]) -> None:
    content = {"g_ema": originals.skip.generator(originals.Shape(WIDTHS)),
               "d": originals.skip.discriminator(originals.Shape(widths))}
    with pytest.raises(UserError, match="the discriminator: "):
        imported(content)
