"""rosinality's StyleGAN2 and the official Anycost code, which took its layout over."""

import math

from torch import Tensor
from torch.nn import functional as F

from .common import (
    BINOMIAL,
    Shape,
    State,
    Styled,
    activate,
    dense,
    drawing,
    filtered,
    minibatch_deviation,
    normalised,
    synthesise,
)


def generator(shape: Shape) -> State:
    """Random weights in float64, of rosinality's names and shapes."""
    draw = drawing()
    state = {"input.input": draw(1, shape.widths[0], 4, 4)}
    for i in range(shape.mapping):
        state |= {
            f"style.{i + 1}.weight": 100 * draw(shape.latent, shape.latent),
            f"style.{i + 1}.bias": 10 * draw(shape.latent),
        }
    for point in shape.points:
        name = f"convs.{point - 1}" if point else "conv1"
        inputs, outputs, side = shape.inputs(point), shape.outputs(point), shape.side(point)
        state |= {
            f"{name}.conv.weight": draw(1, outputs, inputs, 3, 3),
            f"{name}.conv.modulation.weight": draw(inputs, shape.latent),
            f"{name}.conv.modulation.bias": 1 + 0.1 * draw(inputs),
            f"{name}.noise.weight": 0.1 * draw(1),
            f"{name}.activate.bias": 0.1 * draw(outputs),
            f"noises.noise_{point}": draw(1, 1, side, side),
        }
        if point % 2:
            state[f"{name}.conv.blur.kernel"] = BINOMIAL * 4
    for level, width in enumerate(shape.widths):
        name = f"to_rgbs.{level - 1}" if level else "to_rgb1"
        state |= {
            f"{name}.conv.weight": draw(1, 3, width, 1, 1),
            f"{name}.conv.modulation.weight": draw(width, shape.latent),
            f"{name}.conv.modulation.bias": 1 + 0.1 * draw(width),
            f"{name}.bias": 0.1 * draw(1, 3, 1, 1),
        }
        if level:
            state[f"{name}.upsample.kernel"] = BINOMIAL * 4
    return state


def mapping(state: State, z: Tensor) -> Tensor:
    x, i = normalised(z), 1
    while f"style.{i}.weight" in state:
        x = activate(dense(x, state[f"style.{i}.weight"], state[f"style.{i}.bias"], 0.01))
        i += 1
    return x


def synthesis(state: State, w: Tensor, noise: bool = True) -> Tensor:
    def styled(name: str, bias: Tensor, fixed: Tensor | None) -> Styled:
        affine = state[f"{name}.conv.modulation.weight"], state[f"{name}.conv.modulation.bias"]
        return Styled(state[f"{name}.conv.weight"][0], lambda w: dense(w, *affine), bias, fixed)

    levels = sum(name.endswith(".upsample.kernel") for name in state) + 1
    names = ["conv1", *(f"convs.{k}" for k in range(2 * levels - 2))]
    convolutions = [
        styled(name, state[f"{name}.activate.bias"], state[f"{name}.noise.weight"] * state[f"noises.noise_{k}"])
        for k, name in enumerate(names)
    ]
    colours = [
        styled(name, state[f"{name}.bias"].flatten(), None)
        for name in ["to_rgb1", *(f"to_rgbs.{k}" for k in range(levels - 1))]
    ]
    # A transposed convolution with the kernel as it is spreads it: the same as convolving, kernel turned round.
    return synthesise(state["input.input"], convolutions, colours, w, noise, turned=True)


def discriminator(shape: Shape, inputs: int = 1, conditioned: bool = False, several: bool = False) -> State:
    """`several` keeps the blocks apart, as multi-resolution ones do; `conditioned` modulates those at 16 and 8 px."""
    draw = drawing()
    state: State = {}
    widths = {4 << level: width for level, width in enumerate(shape.widths)}
    top, code = shape.resolution, 4 * 2 * len(shape.widths)
    for i in range(inputs):
        width = widths[top >> i]
        state |= {f"convs.{i}.0.weight": draw(width, 3, 1, 1), f"convs.{i}.1.bias": 0.1 * draw(width)}
    for k in range(len(shape.widths) - 1):
        side = top >> k
        name = f"blocks.{k}" if several else f"convs.{k + 1}"
        narrow, wide, more = widths[side], widths[side // 2], int(conditioned and side in (16, 8))
        state |= {
            f"{name}.conv1.0.weight": draw(narrow, narrow, 3, 3), f"{name}.conv1.{1 + more}.bias": 0.1 * draw(narrow),
            f"{name}.conv2.0.kernel": BINOMIAL, f"{name}.conv2.1.weight": draw(wide, narrow, 3, 3),
            f"{name}.conv2.{2 + more}.bias": 0.1 * draw(wide),
            f"{name}.skip.0.kernel": BINOMIAL, f"{name}.skip.1.weight": draw(wide, narrow, 1, 1),
        }  # fmt: skip
        for layer, width in (("conv1.1", narrow), ("conv2.2", wide), ("skip.2", wide)) if more else ():
            for kind in ("weight", "bias"):
                state[f"{name}.{layer}.{kind}_mapping.weight"] = 0.1 * draw(width, code)
                state[f"{name}.{layer}.{kind}_mapping.bias"] = 0.1 * draw(width)
    low = widths[4]
    return state | {
        "final_conv.0.weight": draw(low, low + 1, 3, 3), "final_conv.1.bias": 0.1 * draw(low),
        "final_linear.0.weight": draw(low, low * 16), "final_linear.0.bias": 0.1 * draw(low),
        "final_linear.1.weight": draw(1, low), "final_linear.1.bias": 0.1 * draw(1),
    }  # fmt: skip


def logits(state: State, image: Tensor, code: Tensor | None = None) -> Tensor:
    """What the discriminator says of images of any of its resolutions."""

    def layer(x: Tensor, name: str, place: int, down: bool, linear: bool = False) -> Tensor:
        weight = state[f"{name}.{place}.weight"]
        side = weight.shape[-1]
        if down:
            pad = 2 if side == 3 else 1
            x = F.conv2d(filtered(x, pad, pad), weight / math.sqrt(weight[0].numel()), stride=2)
        else:
            x = F.conv2d(x, weight / math.sqrt(weight[0].numel()), padding=side // 2)
        modulation = f"{name}.{place + 1}.weight_mapping"
        if f"{modulation}.weight" in state:
            assert code is not None
            shift = f"{name}.{place + 1}.bias_mapping"
            scale = F.linear(code, state[f"{modulation}.weight"], state[f"{modulation}.bias"]) + 1
            x = (
                x * scale[:, None, None]
                + F.linear(code, state[f"{shift}.weight"], state[f"{shift}.bias"])[:, None, None]
            )
            place += 1
        return x if linear else activate(x + state[f"{name}.{place + 1}.bias"][:, None, None])

    several = "blocks.0.skip.1.weight" in state
    blocks = sum(name.endswith("skip.1.weight") for name in state)
    entry = (4 << blocks).bit_length() - image.shape[-1].bit_length()
    x = layer(image, f"convs.{entry}", 0, down=False)
    for k in range(entry, blocks):
        name = f"blocks.{k}" if several else f"convs.{k + 1}"
        main = layer(layer(x, f"{name}.conv1", 0, down=False), f"{name}.conv2", 1, down=True)
        x = (main + layer(x, f"{name}.skip", 1, down=True, linear=True)) / math.sqrt(2)
    x = layer(minibatch_deviation(x), "final_conv", 0, down=False)
    x = activate(dense(x.flatten(1), state["final_linear.0.weight"], state["final_linear.0.bias"]))
    return dense(x, state["final_linear.1.weight"], state["final_linear.1.bias"])[:, 0]
