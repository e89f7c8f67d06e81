"""NVIDIA's PyTorch networks: they convolve with the up-kernel where the others of PyTorch transpose."""

import math

from torch import Tensor
from torch.nn import functional as F

from .common import (
    BINOMIAL,
    Shape,
    State,
    activate,
    dense,
    drawing,
    filtered,
    minibatch_deviation,
    modulated,
    normalised,
    spread,
)


def generator(shape: Shape) -> State:
    draw = drawing()
    state = {"mapping.w_avg": 0.3 * draw(shape.latent), "synthesis.b4.const": draw(shape.widths[0], 4, 4)}
    for i in range(shape.mapping):
        state |= {
            f"mapping.fc{i}.weight": 100 * draw(shape.latent, shape.latent),
            f"mapping.fc{i}.bias": 10 * draw(shape.latent),
        }
    for level, width in enumerate(shape.widths):
        block = f"synthesis.b{4 << level}"
        state[f"{block}.resample_filter"] = BINOMIAL
        for name, inputs in (("conv0", shape.widths[level - 1]), ("conv1", width)) if level else (("conv1", width),):
            state |= {
                f"{block}.{name}.weight": draw(width, inputs, 3, 3), f"{block}.{name}.bias": 0.1 * draw(width),
                f"{block}.{name}.noise_strength": 0.1 * draw(),
                f"{block}.{name}.noise_const": draw(4 << level, 4 << level),
                f"{block}.{name}.affine.weight": draw(inputs, shape.latent),
                f"{block}.{name}.affine.bias": 1 + 0.1 * draw(inputs), f"{block}.{name}.resample_filter": BINOMIAL,
            }  # fmt: skip
        state |= {
            f"{block}.torgb.weight": draw(3, width, 1, 1), f"{block}.torgb.bias": 0.1 * draw(3),
            f"{block}.torgb.affine.weight": draw(width, shape.latent),
            f"{block}.torgb.affine.bias": 1 + 0.1 * draw(width),
        }  # fmt: skip
    return state


def mapping(state: State, z: Tensor, truncation: float = 1.0) -> Tensor:
    x, i = normalised(z), 0
    while f"mapping.fc{i}.weight" in state:
        x = activate(dense(x, state[f"mapping.fc{i}.weight"], state[f"mapping.fc{i}.bias"], 0.01))
        i += 1
    return state["mapping.w_avg"].lerp(x, truncation)


def synthesis(state: State, w: Tensor, noise: bool = True, scaled_epsilon: bool = False) -> Tensor:
    """toRGB's gain lies on the style, and modulated kernels are not scaled: demodulation makes that idle elsewhere.

    It is not quite idle, as demodulation adds 1e-8 to a sum that is larger by the fan-in than that of other programs;
    `scaled_epsilon` makes up for it.
    """
    batch, side, x, image = len(w), 4, None, None
    while f"synthesis.b{side}.conv1.weight" in state:
        block = f"synthesis.b{side}"
        if x is None:
            x = state[f"{block}.const"][None].repeat(batch, 1, 1, 1)
        for name in ("conv0", "conv1"):
            if f"{block}.{name}.weight" not in state:
                continue
            style = dense(w, state[f"{block}.{name}.affine.weight"], state[f"{block}.{name}.affine.bias"])
            kernels = state[f"{block}.{name}.weight"][None] * style[:, None, :, None, None]
            epsilon = 1e-8 * (kernels[0, 0].numel() if scaled_epsilon else 1)
            x = modulated(x, kernels, demodulate=True, up=name == "conv0", turned=name == "conv0", epsilon=epsilon)
            if noise:
                x = x + state[f"{block}.{name}.noise_const"] * state[f"{block}.{name}.noise_strength"]
            x = activate(x + state[f"{block}.{name}.bias"][:, None, None])
        weight = state[f"{block}.torgb.weight"]
        style = dense(w, state[f"{block}.torgb.affine.weight"], state[f"{block}.torgb.affine.bias"])
        kernels = weight[None] * (style / math.sqrt(weight.shape[1]))[:, None, :, None, None]
        new = modulated(x, kernels, demodulate=False, up=False) + state[f"{block}.torgb.bias"][:, None, None]
        image = new if image is None else new + filtered(spread(image), 2, 1, gain=4)
        side *= 2
    assert image is not None
    return image


def discriminator(shape: Shape) -> State:
    draw = drawing()
    state: State = {}
    for level in reversed(range(1, len(shape.widths))):
        block, narrow, wide = f"b{4 << level}", shape.widths[level], shape.widths[level - 1]
        if 4 << level == shape.resolution:
            state |= {f"{block}.fromrgb.weight": draw(narrow, 3, 1, 1), f"{block}.fromrgb.bias": 0.1 * draw(narrow),
                      f"{block}.fromrgb.resample_filter": BINOMIAL}  # fmt: skip
        state |= {
            f"{block}.conv0.weight": draw(narrow, narrow, 3, 3), f"{block}.conv0.bias": 0.1 * draw(narrow),
            f"{block}.conv1.weight": draw(wide, narrow, 3, 3), f"{block}.conv1.bias": 0.1 * draw(wide),
            f"{block}.skip.weight": draw(wide, narrow, 1, 1), f"{block}.resample_filter": BINOMIAL,
            f"{block}.conv0.resample_filter": BINOMIAL, f"{block}.conv1.resample_filter": BINOMIAL,
            f"{block}.skip.resample_filter": BINOMIAL,
        }  # fmt: skip
    low = shape.widths[0]
    return state | {
        "b4.conv.weight": draw(low, low + 1, 3, 3), "b4.conv.bias": 0.1 * draw(low),
        "b4.conv.resample_filter": BINOMIAL,
        "b4.fc.weight": draw(low, low * 16), "b4.fc.bias": 0.1 * draw(low),
        "b4.out.weight": draw(1, low), "b4.out.bias": 0.1 * draw(1),
    }  # fmt: skip


def logits(state: State, image: Tensor) -> Tensor:
    """Residual branches both carry the gain sqrt(1/2)."""

    def conv(x: Tensor, name: str, down: bool = False) -> Tensor:
        weight = state[f"{name}.weight"] / math.sqrt(state[f"{name}.weight"][0].numel())
        pad = weight.shape[-1] // 2
        return F.conv2d(filtered(x, pad + 1, pad + 1), weight, stride=2) if down else F.conv2d(x, weight, padding=pad)

    side = image.shape[-1]
    x = activate(conv(image, f"b{side}.fromrgb") + state[f"b{side}.fromrgb.bias"][:, None, None])
    while side > 4:
        skip = conv(x, f"b{side}.skip", down=True) * math.sqrt(0.5)
        x = activate(conv(x, f"b{side}.conv0") + state[f"b{side}.conv0.bias"][:, None, None])
        x = activate(conv(x, f"b{side}.conv1", down=True) + state[f"b{side}.conv1.bias"][:, None, None]) * math.sqrt(
            0.5
        )
        x, side = x + skip, side // 2
    x = activate(conv(minibatch_deviation(x), "b4.conv") + state["b4.conv.bias"][:, None, None])
    x = activate(dense(x.flatten(1), state["b4.fc.weight"], state["b4.fc.bias"]))
    return dense(x, state["b4.out.weight"], state["b4.out.bias"])[:, 0]
