"""Peak memory of activations of one picture in the plain executor, in closed form.

Counted are the maps with a spatial extent that are alive at the same time while `generator(z, architecture)` runs
in float32 without gradients, batch 1: feature maps (the constant is the first), scaled noise maps and RGB images.
Not counted: weights and working copies of them, vectors (latents, styles, demodulation), and what a convolution
takes inside its backend. A batch of B takes at most B times as much.
"""

from anycost.architecture import Architecture

BYTES = 4  # float32


def activation_bytes(architecture: Architecture) -> int:
    """Bytes of all maps alive at the worst moment, as this module defines them."""
    counts = architecture.channels
    levels = range(architecture.resolution.bit_length() - 2)
    return max(level_activation_bytes(level, counts[max(2 * level - 1, 0) : 2 * level + 2]) for level in levels)


def level_activation_bytes(level: int, counts: tuple[int, ...]) -> int:
    """The worst moment while the layers at `4 << level` pixels run, bytes.

    The map that arrived stays alive until the level ends, and so does the RGB image of the level below.
    `counts` as in `macs.level_layers`.
    """
    area = 16 << (2 * level)
    below = area // 4
    arrived, outputs = counts[0], counts[-1]
    if level == 0:
        kept = area * arrived
        moments = [kept + _plain(arrived, outputs, area)]
    else:
        middle = counts[1]
        kept = below * (arrived + 3)
        moments = [kept + _up(arrived, middle, area), kept + area * middle + _plain(middle, outputs, area)]
    kept += area * outputs
    moments.append(kept + _rgb(outputs, area, skip=level > 0))
    return BYTES * max(moments)


def _plain(inputs: int, outputs: int, area: int) -> int:
    """Beside its input: styled input and result of the convolution, then the latter, the noise and the output."""
    return area * max(inputs + outputs, 2 * outputs + 1)


def _up(inputs: int, outputs: int, area: int) -> int:
    """As `_plain`, with the transposed convolution's result `[2h + 1, 2h + 1]`, which the filter trims."""
    side = int(area**0.5)
    wide = outputs * (side + 1) ** 2
    return max(area // 4 * inputs + wide, wide + area * outputs, area * (2 * outputs + 1))


def _rgb(inputs: int, area: int, skip: bool) -> int:
    """Beside its input: styled input and RGB, then RGB with and without bias, then it, the skip and their sum."""
    return area * max(inputs + 3, 6, 9 if skip else 0)
