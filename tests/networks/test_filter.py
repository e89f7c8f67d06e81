"""The FIR filter and the upsampling of RGB images, of both implementations, against published numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from anycost.benchmarks import plain_ops
from anycost.networks import ops

UPSAMPLED = [
    [0, 0.1875, 0.5625, 0.5625], [0.375, 0.75, 1.25, 1.125],
    [1.125, 1.75, 2.25, 1.875], [1.125, 1.6875, 2.0625, 1.6875],
]
Upsample = Callable[[Tensor], Tensor]


@pytest.fixture(params=["plain", "fast"])
def upsample(request: pytest.FixtureRequest) -> Upsample:
    if request.param == "plain":
        return plain_ops.upsample
    return lambda x: ops.upsample_rgb(x, ops.fir_kernel().to(x.dtype))


def test_published_example(upsample: Upsample) -> None:
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0]])[None, None]
    assert torch.equal(upsample(x)[0, 0], torch.tensor(UPSAMPLED))


def test_ones_keep_their_value_inside_and_fade_at_the_border(upsample: Upsample) -> None:
    out = upsample(torch.ones(1, 3, 4, 4))
    assert out.shape == (1, 3, 8, 8)
    assert out[..., 1:-1, 1:-1].eq(1).all()
    assert out[..., 0, 1:-1].eq(0.75).all()
    assert out[..., 1:-1, -1].eq(0.75).all()
    assert out[..., 0, 0].eq(0.5625).all()
    assert out[..., -1, -1].eq(0.5625).all()


def test_channels_do_not_mix(upsample: Upsample) -> None:
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    for channel in range(3):
        torch.testing.assert_close(upsample(x)[:, channel], upsample(x[:, channel:channel + 1])[:, 0])


def test_filter_is_the_outer_product_of_1331() -> None:
    impulse = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    impulse[..., 3, 3] = 64
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
    expected = torch.outer(taps, taps)
    plain = plain_ops.fir(impulse, gain=1.0, pad=(2, 2))
    fast = ops.fir(impulse, ops.fir_kernel().double(), padding=2)
    for out in (plain, fast):
        assert out.shape == (1, 1, 8, 8)
        torch.testing.assert_close(out[0, 0, 2:6, 2:6], expected)
        assert out.sum().item() == pytest.approx(64)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [1, 2])
def test_fast_filter_is_the_plain_one_subsampled(stride: int, padding: int) -> None:
    x = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    fast = ops.fir(x, ops.fir_kernel().double(), padding=padding, stride=stride, gain=4.0)
    plain = plain_ops.fir(x, gain=4.0, pad=(padding, padding))[..., ::stride, ::stride]
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
