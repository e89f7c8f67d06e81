"""Which tensors a header promises: networks of shapes and memory layouts alone, built without a byte of weights."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.interchange.header import WIDEST, Header, generator_form, shown
from anycost.networks.discriminator import Discriminator, Trunk
from anycost.networks.generator import Generator
from anycost.networks.multiscale_discriminator import MultiscaleDiscriminator

GENERATOR, DISCRIMINATOR, TRUNCATION_MEAN = "generator.", "discriminator.", "truncation_mean"
DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
"""Number types of generators and discriminators; they compute in float32."""
Shape = tuple[int, ...]


class _NoWeights(TorchFunctionMode):
    """Networks built in this mode have parameters on the meta device; buffers that are constants stay real.

    It does what `torch.device("meta")` does, without that one's first draw and first division, which import the
    compiler: 1.1 s.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.randn, torch.empty):
            return torch.empty(*args, device="meta")
        first = args[0] if args else (kwargs or {}).get("tensor")
        fills = function in (Tensor.div, Tensor.__truediv__) or getattr(function, "__module__", "") == "torch.nn.init"
        if fills and isinstance(first, Tensor) and first.is_meta:
            return first
        return function(*args, **(kwargs or {}))


def generator_skeleton(header: Header) -> Generator:
    """The generator that `header` describes, with its parameters on the meta device."""
    with _NoWeights():
        return Generator(*generator_form(header))


def discriminator_skeleton(space: ArchitectureSpace, names: Iterable[str]) -> Trunk:
    """The discriminator whose tensors have such `names`: they tell its kind, resolutions and conditioning."""
    listed = list(names)
    combined = {name for name in listed if name.startswith("combine.")}
    if combined:
        with _NoWeights():
            return MultiscaleDiscriminator(space, len(combined) + 1)
    entries = {name for name in listed if name.startswith("from_rgb.") and name.endswith(".weight")}
    with _NoWeights():
        return Discriminator(space, len(entries), any(".condition." in name for name in listed))


def check_tensors(header: Header, found: Mapping[str, tuple[Shape, str]], source: str) -> None:
    """Raise a `UserError`, beginning with `source`, unless `found` (shape and type by name) is what `header` promises.

    That is: all of `generator.*`, all of `discriminator.*` where there is one, and perhaps `truncation_mean`; nothing
    else.
    """
    space, latent_dim, mapping_layers = generator_form(header)
    expected = dict(_generator_shapes(space, latent_dim, mapping_layers))
    inner = [name.removeprefix(DISCRIMINATOR) for name in found if name.startswith(DISCRIMINATOR)]
    if inner:
        widths = _discriminator_channels(space, {name: shape for name, (shape, _) in found.items()})
        try:
            state = discriminator_skeleton(replace(space, channels=widths), inner).state_dict()
        except UserError as error:
            raise UserError(f"{source}: its discriminator does not fit: {error}") from error
        expected |= {f"{DISCRIMINATOR}{name}": tuple(tensor.shape) for name, tensor in state.items()}
    if TRUNCATION_MEAN in found:
        expected[TRUNCATION_MEAN] = (latent_dim,)
    problems = [
        _listed("missing", [name for name in expected if name not in found]),
        _listed("not part of such a file", [name for name in found if name not in expected]),
        _listed("of another shape", [
            f"{name} is {list(found[name][0])} instead of {list(shape)}"
            for name, shape in expected.items() if name in found and found[name][0] != shape
        ]),
        _listed("of another type", [
            f"{name} is {kind} instead of {' or '.join(DTYPES)}"
            for name, (_, kind) in found.items() if name in expected and kind not in DTYPES
        ]),
    ]  # fmt: skip
    if any(problems):
        raise UserError(f"{source} does not fit its header: {'; '.join(filter(None, problems))}")


def _discriminator_channels(space: ArchitectureSpace, found: Mapping[str, Shape]) -> tuple[int, ...]:
    """Channels per point of a discriminator as wide as `found` says; of the space itself where a tensor is missing.

    A generator may have been trained against a wider one (`model.discriminator_multiplier`), of which the header says
    nothing.
    """
    channels = list(space.full_channels)
    for point in range(space.num_points):
        resolution = space.point_resolution(point)
        layer = "final_conv" if resolution == 4 else f"blocks.{resolution}.conv1"
        shape = found.get(f"{DISCRIMINATOR}{layer}.weight", ())
        if len(shape) == 4 and 1 <= shape[0] <= WIDEST:
            channels[point] = shape[0]
    return tuple(channels)


def _listed(what: str, names: Collection[str], most: int = 3) -> str:
    """`4 tensors are missing: a, b, c and 1 more`; empty where there are none."""
    if not names:
        return ""
    count = "1 tensor is" if len(names) == 1 else f"{len(names)} tensors are"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{count} {what}: {', '.join(shown(name, 160) for name in list(names)[:most])}{more}"


@lru_cache(maxsize=8)
def _generator_shapes(space: ArchitectureSpace, latent_dim: int, mapping_layers: int) -> dict[str, Shape]:
    with _NoWeights():
        generator = Generator(space, latent_dim, mapping_layers)
    return {f"{GENERATOR}{name}": tuple(tensor.shape) for name, tensor in generator.state_dict().items()}
