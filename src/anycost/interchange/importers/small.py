"""The official Anycost code's other files: encoder, attribute predictor, editing directions, projected latents."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from anycost.errors import UserError
from anycost.interchange.header import Header, shown
from anycost.interchange.importers.assembling import Part, Rule, assemble, check_shapes, floats
from anycost.interchange.importers.imported import Choice, Imported
from anycost.networks.attributes import CELEBA_ATTRIBUTES

_DIRECTION = re.compile(r"\d\d_\w+")
_HIGHEST_STYLES = 20  # of 4096 px, W+ has 2 log2(r) - 2 codes


# ---- encoder and attribute predictor: ResNet-50s under "state_dict"


def recognises_resnet(content: Any) -> bool:
    """A ResNet-50's `state_dict`."""
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    return isinstance(state, Mapping) and {"conv1.weight", "fc.weight", "layer4.0.conv1.weight"} <= set(state)


def read_resnet(content: Mapping[str, Any], choice: Choice) -> Imported:
    """Encoder (with its `mean_latent`) or attribute predictor, tensors named as in the file behind the kind."""
    state = content["state_dict"]
    left_out = [shown(key) for key in content if key != "state_dict"]
    if "mean_latent" in state:
        return _encoder(state, left_out)
    part = _resnet(state, {}, 2 * len(CELEBA_ATTRIBUTES))
    header = Header(
        "attribute_predictor",
        model={"attributes": list(CELEBA_ATTRIBUTES), "resolution": 256},
        card={"source": "official Anycost attribute predictor", "left_out": left_out},
    )
    found = f"attribute predictor of {len(CELEBA_ATTRIBUTES)} attributes (ResNet-50)"
    return Imported(_prefixed("attribute_predictor", part.tensors), header, (found,))


def _encoder(state: Mapping[str, Any], left_out: list[str]) -> Imported:
    mean = floats(state["mean_latent"], "mean_latent").squeeze()
    weight = floats(state["fc.weight"], "fc.weight")
    outputs, latent_dim = weight.shape[0] if weight.dim() else 0, mean.numel()
    if mean.dim() != 1 or outputs % latent_dim or not _is_style_count(outputs // latent_dim):
        raise UserError(
            f"fc.weight gives {outputs} numbers, which are no W+ of codes like mean_latent {list(mean.shape)}"
        )
    part = _resnet({name: x for name, x in state.items() if name != "mean_latent"}, {"mean_latent": mean}, outputs)
    model = {"latent_dim": latent_dim, "num_styles": outputs // latent_dim, "resolution": 256}
    header = Header("encoder", model=model, card={"source": "official Anycost encoder", "left_out": left_out})
    found = f"encoder (ResNet-50, 256 px) to W+ of {model['num_styles']} codes of {latent_dim}"
    return Imported(_prefixed("encoder", part.tensors), header, (found,))


def _resnet(state: Mapping[str, Any], more: dict[str, Tensor], outputs: int) -> Part:
    """The tensors of a ResNet-50 with so many outputs; counters of batches, which nothing reads, stay behind."""
    from torchvision.models import resnet50

    with torch.device("meta"):
        network = resnet50(num_classes=outputs)
    for name in [name for name, _ in network.named_buffers() if name.endswith("num_batches_tracked")]:
        module, _, buffer = name.rpartition(".")
        delattr(network.get_submodule(module), buffer)
    counters = [name for name in state if str(name).endswith("num_batches_tracked")]
    part = assemble(state, [Rule(name, name) for name in network.state_dict()], counters)
    check_shapes(part, network)
    return Part(part.tensors | more, part.sources)


# ---- directions


def recognises_directions(content: Any) -> bool:
    """A dict of `NN_Attribute` names, at least one."""
    return isinstance(content, Mapping) and bool(content) and all(_DIRECTION.fullmatch(str(name)) for name in content)


def read_directions(content: Mapping[str, Any], choice: Choice) -> Imported:
    """Each direction `[latent_dim]`, under its name in the file; `choice.name` may take a single one."""
    directions = {}
    for name, value in choice.pick(dict(content), "directions").items():
        direction = floats(value, str(name)).squeeze()
        if direction.dim() != 1:
            raise UserError(f"{name} has the shape {list(direction.shape)}; a direction is one vector")
        directions[str(name)] = direction
    lengths = {len(direction) for direction in directions.values()}
    if len(lengths) > 1:
        raise UserError(f"the directions have different lengths: {', '.join(map(str, sorted(lengths)))}")
    header = Header(
        "directions",
        model={"latent_dim": lengths.pop(), "names": list(directions)},
        card={"source": "official Anycost boundaries", "left_out": []},
    )
    plural = "directions" if len(directions) > 1 else f"direction {next(iter(directions))}"
    found = f"{len(directions)} {plural} in W of {header.model['latent_dim']}"
    return Imported(_prefixed("directions", directions), header, (found,))


# ---- latents


def recognises_latents(content: Any) -> bool:
    """One array of two or three dimensions."""
    return isinstance(content, Tensor) and content.dim() in (2, 3)


def read_latents(content: Tensor, choice: Choice) -> Imported:
    """W+ `[N, num_styles, latent_dim]`; two dimensions are one projected image."""
    latents = floats(content, "the array")
    latents = latents[None] if latents.dim() == 2 else latents
    count, styles, length = latents.shape
    if not _is_style_count(styles):
        raise UserError(
            f"the array has the shape {shown(list(content.shape))}: projected latents are (n_style, latent_dim) or "
            f"(N, n_style, latent_dim) with an even n_style of at most {_HIGHEST_STYLES}"
        )
    header = Header(
        "latents",
        model={"latent_dim": length, "num_styles": styles},
        card={"source": "projected latents (npy)", "left_out": []},
    )
    found = f"latents of {count} image{'s' if count > 1 else ''}: W+ of {styles} codes of {length}"
    return Imported({"latents": latents}, header, (found,))


def _is_style_count(number: int) -> bool:
    return 2 <= number <= _HIGHEST_STYLES and number % 2 == 0


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
