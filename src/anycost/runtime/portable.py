"""A sub-generator as plain float32 operators of static weights: the form that torch.export and ONNX exporters trace."""

import torch
from torch import Tensor, nn

from anycost.architecture import Architecture, num_points
from anycost.networks.generator import Generator
from anycost.networks.ops import SQRT2, ModulatedConv, fir_kernel

F = nn.functional


class PortableGenerator(nn.Module):
    """One architecture of `generator` (default: full): `forward(w_plus, noise_strength) -> image`, batch dynamic.

    All weights are float32 buffers, sliced and scaled; styles scale activations, so every convolution is a plain one.
    It is slower than `freeze`, which is for running in PyTorch. `example()` gives inputs to trace with.
    """

    constant: Tensor

    def __init__(self, generator: Generator, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or generator.space.full()
        self.latent_dim = generator.latent_dim
        self.num_styles = num_points(self.architecture.resolution)
        channels, points = self.architecture.channels, range(self.num_styles - 1)
        self.register_buffer("constant", generator.constant.detach()[:, : channels[0]].float().contiguous())
        layers, rgbs = generator.styled_layers, generator.rgb_layers
        self.layers = nn.ModuleList(_Styled(layers[p], channels[p], channels[p + 1], layers[p].up) for p in points)
        levels = range(self.num_styles // 2)
        self.to_rgb = nn.ModuleList(_Modulated(rgbs[j], channels[2 * j + 1], 3) for j in levels)
        self.register_buffer("upsampling", (fir_kernel() * 4).expand(3, 1, 4, 4).contiguous())
        self.to(generator.constant.device).eval()

    def forward(self, w_plus: Tensor, noise_strength: Tensor) -> Tensor:
        """W+ `[B, num_styles, latent_dim]` -> image `[B, 3, r, r]`, nominal range [-1, 1], not clamped.

        `noise_strength []` multiplies the constant noise maps: 1 as trained, 0 none.
        """
        x, rgb = self.constant, None
        for level, to_rgb in enumerate(self.to_rgb):
            for point in range(max(2 * level - 1, 0), 2 * level + 1):
                x = self.layers[point](x, w_plus[:, point], noise_strength)
            new = to_rgb(x, w_plus[:, 2 * level + 1])
            if rgb is not None:
                new = new + F.conv_transpose2d(rgb, self.get_buffer("upsampling"), stride=2, padding=1, groups=3)
            rgb = new
        assert rgb is not None
        return rgb

    def example(self, batch: int = 1) -> tuple[Tensor, Tensor]:
        """Inputs of `forward`: normal W+ and strength 1."""
        codes = torch.randn(batch, self.num_styles, self.latent_dim, generator=torch.Generator().manual_seed(0))
        return codes.to(self.constant.device), torch.ones((), device=self.constant.device)


class _Modulated(nn.Module):
    """The affine map from w to a style, and a convolution of scaled activations: toRGB as it is."""

    weight: Tensor
    bias: Tensor
    modulation: Tensor
    modulation_bias: Tensor

    def __init__(self, layer: ModulatedConv, inputs: int, outputs: int) -> None:
        super().__init__()
        affine = layer.modulation
        weight = layer.weight.detach()[:outputs, :inputs].float() * layer.scale
        self.register_buffer("weight", weight.contiguous())
        self.register_buffer("bias", layer.get_parameter("bias").detach()[:outputs].float().clone())
        self.register_buffer("modulation", affine.weight.detach()[:inputs].float() * affine.gain)
        self.register_buffer("modulation_bias", affine.bias.detach()[:inputs].float().clone())

    def style(self, w: Tensor) -> Tensor:
        return F.linear(w, self.modulation, self.modulation_bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return F.conv2d(x * self.style(w)[:, :, None, None], self.weight, self.bias)


class _Styled(_Modulated):
    """A styled 3x3 convolution; doubles the size if `up`."""

    def __init__(self, layer: ModulatedConv, inputs: int, outputs: int, up: bool) -> None:
        super().__init__(layer, inputs, outputs)
        self.up = up
        self.register_buffer("power", self.weight.square().sum((2, 3)).t().contiguous())
        if up:
            self.weight = self.weight.transpose(0, 1).contiguous()
            self.register_buffer("filter", (fir_kernel() * 4).expand(outputs, 1, 4, 4).contiguous())
        strength = layer.get_parameter("noise_strength").detach().float()
        self.register_buffer("noise", layer.get_buffer("noise").detach().float() * strength)

    def forward(self, x: Tensor, w: Tensor, noise_strength: Tensor) -> Tensor:  # type: ignore[override]
        style = self.style(w)
        demodulation = torch.rsqrt(torch.matmul(style * style, self.get_buffer("power")) + 1e-8)
        x = x * style[:, :, None, None]
        if self.up:
            x = F.conv_transpose2d(x, self.weight, stride=2)
            x = F.conv2d(x, self.get_buffer("filter"), padding=1, groups=x.shape[1])
        else:
            x = F.conv2d(x, self.weight, padding=1)
        x = x * demodulation[:, :, None, None] + self.get_buffer("noise") * noise_strength + self.bias[:, None, None]
        return F.leaky_relu(x, 0.2) * SQRT2
