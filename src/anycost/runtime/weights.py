"""The weights of one layer as frozen layers want them: float32, scaled, laid out once; slices are views."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anycost.networks.ops import SQRT2, ModulatedConv, StyledConv, ToRGB


@dataclass(frozen=True)
class ModulatedWeights:
    """What a styled convolution and toRGB share.

    Args:
        modulation: `[in, latent_dim]`, with the gain and the convolution's own weight scale folded in.
        modulation_bias: `[in]`, likewise.
        weight: `[out, in, k, k]`; of an up-convolution `[in, out, k, k]`; channels-last.
        bias: `[out]`; of a styled convolution times sqrt(2), the gain of the activation.
    """

    modulation: Tensor
    modulation_bias: Tensor
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class StyledWeights(ModulatedWeights):
    """A styled convolution.

    Args:
        power: `[out, in]`, the sums of squares of the weight over its taps, for the demodulation.
        noise: `[1, 1, r, r]`, as the generator has it.
        noise_strength: times sqrt(2).
        up: whether it doubles the size.
    """

    power: Tensor
    noise: Tensor
    noise_strength: float
    up: bool

    @staticmethod
    def of(layer: StyledConv, inputs: int, outputs: int, device: torch.device) -> "StyledWeights":
        """A copy of the leading `[outputs, inputs]` part."""
        weight = _own(layer.weight[:outputs, :inputs], device)
        ordered = weight.transpose(0, 1) if layer.up else weight
        return StyledWeights(
            *_modulation(layer, inputs, device),
            ordered.contiguous(memory_format=torch.channels_last),
            _own(layer.bias[:outputs], device) * SQRT2,
            weight.square().sum((2, 3)),
            _own(layer.noise, device),
            float(layer.noise_strength) * SQRT2,
            layer.up,
        )

    def sliced(self, inputs: int, outputs: int) -> "StyledWeights":
        weight = self.weight[:inputs, :outputs] if self.up else self.weight[:outputs, :inputs]
        return StyledWeights(
            self.modulation[:inputs], self.modulation_bias[:inputs], weight, self.bias[:outputs],
            self.power[:outputs, :inputs], self.noise, self.noise_strength, self.up,
        )  # fmt: skip


@dataclass(frozen=True)
class RGBWeights(ModulatedWeights):
    """toRGB; its weight is `[3, in]`."""

    @staticmethod
    def of(layer: ToRGB, inputs: int, device: torch.device) -> "RGBWeights":
        """A copy of the part for the leading `inputs`."""
        weight = _own(layer.weight[:, :inputs].flatten(1), device)
        return RGBWeights(*_modulation(layer, inputs, device), weight, _own(layer.bias, device))

    def sliced(self, inputs: int) -> "RGBWeights":
        return RGBWeights(self.modulation[:inputs], self.modulation_bias[:inputs], self.weight[:, :inputs], self.bias)


def _modulation(layer: ModulatedConv, inputs: int, device: torch.device) -> tuple[Tensor, Tensor]:
    affine = layer.modulation
    weight = _own(affine.weight[:inputs], device) * (affine.gain * layer.scale)
    return weight, _own(affine.bias[:inputs], device) * layer.scale


def _own(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.detach().to(device=device, dtype=torch.float32, copy=True)
