"""A weights file comes back to the bit, or is refused with the reason; nothing is built before it fits."""

import errno
import json
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor

import anycost
from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.interchange.header import FORMAT, Header
from anycost.interchange.skeleton import discriminator_skeleton, generator_skeleton
from anycost.interchange.weights import (
    build_generator,
    generator_header,
    generator_tensors,
    read_header,
    read_weights,
    write_weights,
)
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator

SPACE = ArchitectureSpace(16, 0.0625, 32, 2)
CARD = {"stage": "ada_ch", "data": "faces", "images": 4000, "seed": 0, "weights": "ema"}


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    generator = Generator(SPACE, latent_dim=8, mapping_layers=2).eval()
    generator.truncation_mean = torch.randn(8)
    return generator


@pytest.fixture
def file(tmp_path: Path, generator: Generator) -> Path:
    path = tmp_path / "weights.safetensors"
    write_weights(path, generator_tensors(generator), generator_header(generator, "generator", CARD, "MIT"))
    return path


def forged(path: Path, header: Any, tensors: dict[str, Tensor]) -> Path:
    """A safetensors file with any header, without the sha256 of format 2: what somebody else may write."""
    text = header if isinstance(header, str) else json.dumps(header)
    path.write_bytes(save({name: x.contiguous() for name, x in tensors.items()}, metadata={"anycost": text}))
    return path


# ---- what is written is read


def test_a_generator_comes_back_to_the_bit(file: Path, generator: Generator) -> None:
    loaded = anycost.load(file)
    assert loaded.space == SPACE
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    torch.testing.assert_close(dict(loaded.named_buffers()), dict(generator.named_buffers()), rtol=0, atol=0)
    z = torch.randn(2, 8)
    with torch.no_grad():
        expected = generator(z, truncation=0.5, truncation_mean=generator.truncation_center())
    found = loaded(z, truncation=0.5, truncation_mean=loaded.truncation_center())
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_header_comes_back(file: Path) -> None:
    header = read_header(file)
    ladder = {"4": [32, 32], "8": [32, 32], "16": [32, 32]}
    fields = json.loads(json.dumps(asdict(SPACE)))
    model = {"latent_dim": 8, "mapping_layers": 2}
    assert header == Header("generator", fields, model, {**CARD, "ladder": ladder}, "MIT", FORMAT)
    assert read_weights(file)[1] == header


def test_the_same_content_is_the_same_file(file: Path, tmp_path: Path) -> None:
    for number in range(5):
        copy = tmp_path / f"{number}.safetensors"
        write_weights(copy, *read_weights(file))
        assert copy.read_bytes() == file.read_bytes()


def test_tensors_that_share_memory_are_written_apart(tmp_path: Path) -> None:
    both = torch.arange(6.0).view(2, 3)
    write_weights(tmp_path / "d.safetensors", {"all": both, "first": both[0], "t": both.t()}, Header("directions"))
    tensors, _ = read_weights(tmp_path / "d.safetensors")
    torch.testing.assert_close(tensors, {"all": both, "first": both[0], "t": both.t()})


def test_memory_is_laid_out_as_the_constructor_does(file: Path, generator: Generator) -> None:
    loaded = anycost.load(file)
    assert {name: x.stride() for name, x in loaded.state_dict().items()} == {
        name: x.stride() for name, x in generator.state_dict().items()
    }


def test_nothing_is_drawn(file: Path) -> None:
    before = torch.random.get_rng_state()
    anycost.load(file)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_parameters_are_their_own(file: Path) -> None:
    tensors, header = read_weights(file)
    before = {name: x.clone() for name, x in tensors.items()}
    first, second = build_generator(tensors, header), build_generator(tensors, header)
    with torch.no_grad():
        for tensor in first.state_dict().values():
            tensor.add_(1)
    torch.testing.assert_close(tensors, before, rtol=0, atol=0)
    assert torch.equal(second.constant, before["generator.constant"])
    file.write_bytes(bytes(file.stat().st_size))  # written over in place, as `cp` does
    torch.testing.assert_close(tensors, before, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_other_types_are_widened(file: Path, generator: Generator, dtype: torch.dtype) -> None:
    write_weights(file, {name: x.to(dtype) for name, x in generator_tensors(generator).items()}, read_header(file))
    for name, tensor in anycost.load(file).state_dict().items():
        assert torch.equal(tensor, generator.state_dict()[name].to(dtype).float())


def test_format_1_is_read(tmp_path: Path, generator: Generator) -> None:
    tensors = {f"generator.{name}": x for name, x in generator.state_dict().items()}
    header = {"kind": "training", "space": asdict(SPACE), "model": {"latent_dim": 8, "mapping_layers": 2},
              "card": {"stage": "ada_ch"}, "licence": "not stated", "format": 1}  # fmt: skip
    loaded = anycost.load(forged(tmp_path / "old.safetensors", header, tensors))
    assert torch.equal(loaded.constant, generator.constant)
    assert loaded.truncation_mean is None


@pytest.mark.parametrize("conditioned", [False, True])
@pytest.mark.parametrize("num_resolutions", [1, 2])
def test_skeletons_are_the_networks(generator: Generator, num_resolutions: int, conditioned: bool) -> None:
    discriminator = Discriminator(SPACE, num_resolutions, conditioned)
    pairs = [
        (generator_skeleton(generator_header(generator)), generator),
        (discriminator_skeleton(SPACE, discriminator.state_dict()), discriminator),
    ]
    for skeleton, network in pairs:
        assert {name: (x.shape, x.stride()) for name, x in skeleton.state_dict().items()} == {
            name: (x.shape, x.stride()) for name, x in network.state_dict().items()
        }
        kept = {name: x for name, x in network.named_buffers() if name not in network.state_dict()}
        kept.pop("truncation_mean", None)
        torch.testing.assert_close({name: skeleton.get_buffer(name) for name in kept}, kept, rtol=0, atol=0)
        assert kept


@pytest.mark.parametrize("conditioned", [False, True])
def test_a_discriminator_travels_along(file: Path, generator: Generator, conditioned: bool) -> None:
    state = Discriminator(SPACE, 2, conditioned).state_dict()
    tensors = generator_tensors(generator) | {f"discriminator.{name}": x for name, x in state.items()}
    write_weights(file, tensors, generator_header(generator, "training"))
    read, _ = read_weights(file)
    torch.testing.assert_close(read, tensors, rtol=0, atol=0)
    anycost.load(file)
    del tensors["discriminator.logit.bias"]
    write_weights(file, tensors, generator_header(generator, "training"))
    with pytest.raises(UserError, match=r"1 tensor is missing: discriminator\.logit\.bias"):
        read_weights(file)


# ---- headers that lie


LIES: list[tuple[str, Any, str]] = [
    ("format", 99, "format 99; this version of anycost reads formats up to 2: install a newer anycost"),
    ("format", "2", "no version of the format"), ("format", None, "no version"), ("format", True, "no version"),
    ("format", 0, "no version"), ("format", 1.0, "no version"),
    ("kind", "toaster", "kind=toaster is not one of training, generator"), ("kind", None, "kind=None"),
    ("kind", ["training"], "kind="), ("kind", "\x1b[2J" * 50, r"kind=\?\[2J"),
    ("surprise", 1, "unknown fields"), ("space", [], "is not an object"), ("model", 7, "is not an object"),
    ("card", "me", "is not an object"), ("licence", 7, "is not a text"), ("licence", "", "is not a text"),
    ("card.weights", "cooked", "neither ema nor raw"), ("card.weights", [], "neither ema nor raw"),
    ("card.ladder", {"4": [1]}, "not that of its space"), ("card.ladder", 3, "not that of its space"),
    ("space.resolution", 2**40, r"space\.resolution=1099511627776"), ("space.resolution", 24, "power of two"),
    ("space.resolution", -16, "not within"), ("space.resolution", "16", "not within"),
    ("space.resolution", 16.0, "not within"), ("space.resolution", None, "not within"),
    ("space.resolution", True, "not within"), ("space.resolution", 10**4000, "not within"),
    ("space.multiplier", 0, "not within"), ("space.multiplier", float("nan"), "not within"),
    ("space.multiplier", float("inf"), "not within"), ("space.multiplier", 1e-12, "needs at least 1"),
    ("space.multiplier", 1e300, "not within"), ("space.channel_cap", 10**9, "not within"),
    ("space.num_resolutions", 5, "does not fit"), ("space.num_resolutions", 0, "not within"),
    ("space.ratios", [], "not within"), ("space.ratios", [1.0, 0.5], "must increase"),
    ("space.ratios", [0.5], "must increase and end at 1"), ("space.ratios", [-1, 1.0], "not within"),
    ("space.ratios", ["0.5", 1.0], "not within"), ("space.ratios", {"0.5": 1}, "not within"),
    ("space.ratios", [0.5, float("nan"), 1.0], "not within"), ("space.ratios", [0.5] * 100_000, "not within"),
    ("space.channels", [8] * 5, "needs at least 1"), ("space.channels", [0] * 6, "not within"),
    ("space.channels", [2**40] * 6, "not within"), ("space.channels", "8", "not within"),
    ("space.min_channels", 0, "not within"), ("space.divided_by", 0, "not within"),
    ("space.colour", "red", "unknown field colour"),
    ("model.latent_dim", 10**9, r"model\.latent_dim=1000000000 is not within"), ("model.latent_dim", 0, "not within"),
    ("model.latent_dim", "8", "not within"), ("model.latent_dim", None, "not within"),
    ("model.mapping_layers", 10**9, "not within"), ("model.mapping_layers", -1, "not within"),
    ("model.depth", 3, "model has the fields"),
]


@pytest.mark.parametrize(("key", "value", "message"), LIES, ids=[f"{row}-{lie[0]}" for row, lie in enumerate(LIES)])
def test_lies_are_refused(file: Path, key: str, value: Any, message: str) -> None:
    entries = dict(read_header(file).__dict__)
    place, _, name = key.rpartition(".")
    if place:
        entries[place] = {**entries[place], name: value}
    else:
        entries[name] = value
    forged(file, entries, load_file(file))
    for read in (anycost.load, read_header):
        with pytest.raises(UserError, match=message) as caught:
            read(file)
        assert len(str(caught.value)) < 700
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "3", '"x"', "{}", "[" * 100_000, '{"format": 2}', '{"format": 2, "kind": "\\ud800"}',
    '{"format": ' + "9" * 5000 + "}", '{"format": 2, "kind": "generator", "card": ' + '{"a":' * 900 + "1" + "}" * 901,
], ids=lambda text: text[:30])  # fmt: skip
def test_headers_that_are_none(file: Path, text: str) -> None:
    forged(file, text, load_file(file))
    for read in (anycost.load, read_header):
        with pytest.raises(UserError, match=r"weights\.safetensors"):
            read(file)


def test_a_writer_cannot_write_what_no_reader_takes(file: Path) -> None:
    before = file.read_bytes()
    tensors, header = read_weights(file)
    with pytest.raises(UserError, match="kind=toaster"):
        write_weights(file, tensors, replace(header, kind="toaster"))
    assert file.read_bytes() == before


# ---- tensors that do not fit


def without(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in tensors.items() if key != name}


CONSTANT, BIAS = "generator.constant", "generator.layers.0.bias"
MISFITS: list[tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = [
    (lambda t: without(t, BIAS), r"1 tensor is missing: generator\.layers\.0\.bias$"),
    (lambda t: {}, r"\d+ tensors are missing: generator\.constant, .* and \d+ more$"),
    (lambda t: {**t, "generator.extra": torch.zeros(1)}, r"1 tensor is not part of such a file: generator\.extra$"),
    (lambda t: {**t, "optimizer.step": torch.zeros(1)}, r"not part of such a file: optimizer\.step"),
    (lambda t: {**t, CONSTANT: torch.zeros(1, 31, 4, 4)},
     r"generator\.constant is \[1, 31, 4, 4\] instead of \[1, 32, 4, 4\]"),
    (lambda t: {**t, CONSTANT: torch.zeros(512)}, r"generator\.constant is \[512\] instead of"),
    (lambda t: {**t, BIAS: torch.zeros(32, dtype=torch.int64)}, r"layers\.0\.bias is I64 instead of F16 or BF16 or"),
    (lambda t: {**t, BIAS: torch.zeros(32, dtype=torch.bool)}, "is BOOL instead of"),
    (lambda t: {**t, BIAS: torch.zeros(32, dtype=torch.complex64)}, "is C64 instead of"),
    (lambda t: {**t, "truncation_mean": torch.zeros(9)}, r"truncation_mean is \[9\] instead of \[8\]"),
    (lambda t: {**t, "discriminator.from_rgb.16.weight": torch.zeros(1)}, "missing: discriminator"),
    (lambda t: {**t, "discriminator.x": torch.zeros(1)}, "its discriminator does not fit"),
    (lambda t: {**without(t, BIAS), "x" * 1000 + "\n": torch.zeros(1)}, r"missing.*: x+\.\.\.$"),
]


@pytest.mark.parametrize(("change", "message"), MISFITS)
@pytest.mark.parametrize("number", [1, 2])
def test_tensors_that_do_not_fit(
    file: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str, number: int
) -> None:
    tensors, header = read_weights(file)
    write_weights(file, change(tensors), replace(header, format=number))
    for read in (anycost.load, read_weights):
        with pytest.raises(UserError, match=message):
            read(file)
    with pytest.raises(UserError, match="this set of weights"):
        build_generator(change(tensors), header)


def test_a_header_of_another_generator(file: Path) -> None:
    tensors, header = read_weights(file)
    other = replace(header, space={**header.space, "resolution": 32}, card={})
    write_weights(file, tensors, other)
    with pytest.raises(UserError, match=r"does not fit its header: \d+ tensors are missing"):
        anycost.load(file)


def test_values_that_are_no_numbers(file: Path) -> None:
    tensors, header = read_weights(file)
    for value in (float("nan"), float("inf"), -float("inf")):
        tensors["generator.constant"][0, 0, 0, 0] = value
        write_weights(file, tensors, header)
        with pytest.raises(UserError, match="constant hold values that are not finite"):
            anycost.load(file)


def test_other_kinds_are_no_generators(file: Path, tmp_path: Path) -> None:
    write_weights(tmp_path / "d.safetensors", {"smiling": torch.zeros(18, 8)}, Header("directions"))
    with pytest.raises(UserError, match="holds no generator: it is of kind directions"):
        anycost.load(tmp_path / "d.safetensors")
    tensors, header = read_weights(tmp_path / "d.safetensors")
    assert list(tensors) == ["smiling"]
    with pytest.raises(UserError, match=r"no generator \(kind=directions\)"):
        build_generator(tensors, header)


# ---- files that are damaged


def test_every_flipped_bit_is_noticed(file: Path) -> None:
    content, rng = file.read_bytes(), random.Random(0)
    for _ in range(400):
        changed = bytearray(content)
        changed[rng.randrange(len(content) if rng.random() < 0.5 else 4096)] ^= 1 << rng.randrange(8)
        file.write_bytes(changed)
        with pytest.raises(UserError, match=r"weights\.safetensors"):
            anycost.load(file)


def test_every_cut_is_noticed(file: Path) -> None:
    content, rng = file.read_bytes(), random.Random(0)
    for length in [0, 1, 7, 8, 9, len(content) - 1, *(rng.randrange(len(content)) for _ in range(100))]:
        file.write_bytes(content[:length])
        with pytest.raises(UserError, match="is not a whole safetensors file"):
            anycost.load(file)


def test_a_file_without_permission_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:  # whoever runs the tests may be allowed everything
        raise PermissionError(errno.EACCES, "Permission denied", str(file))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be read: there is no permission to"):
        read_header(file)


@pytest.mark.parametrize("length", [2**63 - 1, 2**64 - 1, 2**40, 2**27, 10**8])
def test_headers_of_absurd_length(file: Path, length: int) -> None:
    with file.open("r+b") as opened:
        opened.write(length.to_bytes(8, "little"))
        opened.truncate(2**28)  # a hole: it takes no space
    with pytest.raises(UserError, match=rf"its header claims {length} bytes"):
        anycost.load(file)


@pytest.mark.parametrize(("content", "message"), [
    (b"PK\x03\x04" + bytes(100), r"anycost convert source=weights\.safetensors"),
    (b"\x80\x04." + bytes(100), "anycost convert"), (b"hello", "not a whole safetensors file"),
    (save({"x": torch.zeros(1)}), "safetensors file of another program.*anycost convert"),
])
def test_files_of_others(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        anycost.load(file)
