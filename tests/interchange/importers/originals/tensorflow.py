"""The TensorFlow networks: kernels [k, k, in, out], dense weights [in, out], styles + 1, correlations everywhere."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .common import (
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


def generator(shape: Shape) -> tuple[State, State, State]:
    """Variables of the generator itself, of `mapping` and of `synthesis`."""
    draw = drawing()
    mapping, synthesis = {}, {"4x4/Const/const": draw(1, shape.widths[0], 4, 4)}
    for i in range(shape.mapping):
        mapping |= {
            f"Dense{i}/weight": 100 * draw(shape.latent, shape.latent),
            f"Dense{i}/bias": 10 * draw(shape.latent),
        }
    for point in shape.points:
        side, inputs, outputs = shape.side(point), shape.inputs(point), shape.outputs(point)
        name = f"{side}x{side}/{'Conv0_up' if point % 2 else 'Conv1' if point else 'Conv'}"
        synthesis |= {
            f"noise{point}": draw(1, 1, side, side), f"{name}/weight": draw(3, 3, inputs, outputs),
            f"{name}/mod_weight": draw(shape.latent, inputs), f"{name}/mod_bias": 0.1 * draw(inputs),
            f"{name}/noise_strength": 0.1 * draw(), f"{name}/bias": 0.1 * draw(outputs),
        }  # fmt: skip
    for level, width in enumerate(shape.widths):
        name = f"{4 << level}x{4 << level}/ToRGB"
        synthesis |= {
            f"{name}/weight": draw(1, 1, width, 3), f"{name}/mod_weight": draw(shape.latent, width),
            f"{name}/mod_bias": 0.1 * draw(width), f"{name}/bias": 0.1 * draw(3),
        }  # fmt: skip
    own = {"lod": torch.zeros((), dtype=torch.float64), "dlatent_avg": 0.3 * draw(shape.latent)}
    return own, mapping, synthesis


def mapping(mapping: State, z: Tensor) -> Tensor:
    x, i = normalised(z), 0
    while f"Dense{i}/weight" in mapping:
        x = activate(dense(x, mapping[f"Dense{i}/weight"].t(), mapping[f"Dense{i}/bias"], 0.01))
        i += 1
    return x


def synthesis(synthesis: State, w: Tensor, noise: bool = True) -> Tensor:
    def styled(name: str, fixed: Tensor | None) -> Styled:
        affine = synthesis[f"{name}/mod_weight"], synthesis[f"{name}/mod_bias"]
        weight = synthesis[f"{name}/weight"].movedim((3, 2), (0, 1))
        return Styled(weight, lambda w: w @ affine[0] / math.sqrt(len(affine[0])) + affine[1] + 1,
                      synthesis[f"{name}/bias"], fixed)  # fmt: skip

    convolutions, colours, side, point = [], [], 4, 0
    while f"{side}x{side}/ToRGB/weight" in synthesis:
        for name in ("Conv",) if side == 4 else ("Conv0_up", "Conv1"):
            strength = synthesis[f"{side}x{side}/{name}/noise_strength"]
            convolutions.append(styled(f"{side}x{side}/{name}", strength * synthesis[f"noise{point}"]))
            point += 1
        colours.append(styled(f"{side}x{side}/ToRGB", None))
        side *= 2
    return synthesise(synthesis["4x4/Const/const"], convolutions, colours, w, noise, turned=False)


def discriminator(shape: Shape) -> State:
    draw = drawing()
    top = shape.resolution
    state = {f"{top}x{top}/FromRGB/weight": draw(1, 1, 3, shape.widths[-1]),
             f"{top}x{top}/FromRGB/bias": 0.1 * draw(shape.widths[-1])}  # fmt: skip
    for level in reversed(range(1, len(shape.widths))):
        block, narrow, wide = f"{4 << level}x{4 << level}", shape.widths[level], shape.widths[level - 1]
        state |= {
            f"{block}/Conv0/weight": draw(3, 3, narrow, narrow), f"{block}/Conv0/bias": 0.1 * draw(narrow),
            f"{block}/Conv1_down/weight": draw(3, 3, narrow, wide), f"{block}/Conv1_down/bias": 0.1 * draw(wide),
            f"{block}/Skip/weight": draw(1, 1, narrow, wide),
        }  # fmt: skip
    low = shape.widths[0]
    return state | {
        "4x4/Conv/weight": draw(3, 3, low + 1, low), "4x4/Conv/bias": 0.1 * draw(low),
        "4x4/Dense0/weight": draw(low * 16, low), "4x4/Dense0/bias": 0.1 * draw(low),
        "Output/weight": draw(low, 1), "Output/bias": 0.1 * draw(1),
    }  # fmt: skip


def logits(state: State, image: Tensor) -> Tensor:
    def conv(x: Tensor, name: str, down: bool = False) -> Tensor:
        stored = state[f"{name}/weight"]
        weight = stored.permute(3, 2, 0, 1) / math.sqrt(stored[..., 0].numel())
        pad = len(stored) // 2
        return F.conv2d(filtered(x, pad + 1, pad + 1), weight, stride=2) if down else F.conv2d(x, weight, padding=pad)

    side = image.shape[-1]
    x = activate(conv(image, f"{side}x{side}/FromRGB") + state[f"{side}x{side}/FromRGB/bias"][:, None, None])
    while side > 4:
        block = f"{side}x{side}"
        main = activate(conv(x, f"{block}/Conv0") + state[f"{block}/Conv0/bias"][:, None, None])
        main = activate(conv(main, f"{block}/Conv1_down", True) + state[f"{block}/Conv1_down/bias"][:, None, None])
        x, side = (main + conv(x, f"{block}/Skip", True)) / math.sqrt(2), side // 2
    x = activate(conv(minibatch_deviation(x), "4x4/Conv") + state["4x4/Conv/bias"][:, None, None])
    x = activate(dense(x.flatten(1), state["4x4/Dense0/weight"].t(), state["4x4/Dense0/bias"]))
    return dense(x, state["Output/weight"].t(), state["Output/bias"])[:, 0]
