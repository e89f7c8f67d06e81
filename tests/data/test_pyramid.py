"""The pyramid is resized from the original, and its filters exist alike on tensors."""

import numpy as np
import pytest
import torch
from PIL import Image

from anycost.data.decode import UnusableImage
from anycost.data.geometry import PIL_FILTERS, centre_aspect
from anycost.data.pyramid import downsample, downsample_uint8, pyramid

FILTERS = sorted(PIL_FILTERS)


def reference(image: Image.Image, resolution: int, filter: str) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((resolution, resolution), PIL_FILTERS[filter]))).permute(2, 0, 1)


@pytest.mark.parametrize("filter", FILTERS)
def test_each_resolution_comes_from_the_original(filter, picture):
    image = picture(1, (200, 200))
    for resolution, pixels in pyramid(image, [64, 32, 8], filter, "crop").items():
        assert np.array_equal(pixels, reference(image, resolution, filter))


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("resolution", [4, 16, 32, 64])
def test_tensors_agree_with_pillow(filter, resolution, picture):
    image = picture(2, (128, 128))
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    expected = reference(image, resolution, filter).double()
    found = downsample(tensor.double(), resolution, filter)[0].clamp(0, 255)
    # Pillow rounds after each of its two passes; the second filter spreads the first error (Lanczos enlarges it).
    assert (found - expected).abs().max() <= 1.25
    assert (downsample_uint8(tensor, resolution, filter)[0].int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("filter", FILTERS)
def test_downsample_is_differentiable_and_keeps_flat_pictures(filter):
    images = torch.full((2, 3, 32, 32), 0.7, dtype=torch.float64, requires_grad=True)
    small = downsample(images, 8, filter)
    assert torch.allclose(small, torch.full_like(small, 0.7))
    inputs = torch.rand(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: downsample(x, 4, filter), inputs)


def test_downsample_refuses_fractions():
    with pytest.raises(ValueError, match="48 pixels to 32"):
        downsample(torch.zeros(1, 3, 48, 48), 32, "bilinear")


def test_letterbox_of_lsun_car(picture):
    """512x384 gets 64 black rows above and below."""
    image = picture(0, (512, 384))
    pixels = pyramid(image, [512], "bilinear", "letterbox")[512]
    assert not pixels[:, :64].any()
    assert not pixels[:, -64:].any()
    assert np.array_equal(pixels[:, 64:-64], np.array(image).transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (41, 40)])
def test_crop_takes_the_centre(size, picture):
    image = picture(0, size)
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    expected = image.crop((left, top, left + side, top + side))
    assert np.array_equal(pyramid(image, [32], "box", "crop")[32], reference(expected, 32, "box"))


@pytest.mark.parametrize(("padding", "message"), [("crop", "too small"), ("error", "not square")])
def test_unusable_pictures(padding, message, picture):
    with pytest.raises(UnusableImage, match=message):
        pyramid(picture(0, (64, 31)), [32], "box", padding)


@pytest.mark.parametrize(("size", "expected"), [((512, 400), (512, 384)), ((700, 384), (512, 384)), ((4, 3), (4, 3))])
def test_centre_aspect(size, expected, picture):
    assert centre_aspect(picture(0, size), (4, 3)).size == expected
