"""Every kind of file becomes the picture that a person would expect, or a named reason."""

import io
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from anycost.data.decode import UnusableImage, decode, decode_with_traits, upright_size


def close(image: Image.Image, colour: tuple[int, int, int], tolerance: int = 2) -> bool:
    pixels = np.asarray(image).astype(int)
    return image.mode == "RGB" and bool((abs(pixels - np.array(colour)) <= tolerance).all())


@pytest.mark.parametrize(
    ("image", "colour", "trait"),
    [
        (Image.new("L", (9, 7), 100), (100, 100, 100), ("grey",)),
        (Image.new("1", (9, 7), 1), (255, 255, 255), ("grey",)),
        (Image.new("RGBA", (9, 7), (255, 0, 0, 51)), (255, 204, 204), ("alpha",)),
        (Image.new("LA", (9, 7), (0, 0)), (255, 255, 255), ("grey", "alpha")),
        (Image.new("RGB", (9, 7), (10, 20, 30)), (10, 20, 30), ()),
        (Image.new("RGB", (9, 7), (10, 20, 30)).quantize(4), (10, 20, 30), ()),
        (Image.fromarray(np.full((7, 9), 200 * 257, np.uint16)), (200, 200, 200), ("grey", "16-bit")),
    ],
    ids=["grey", "bilevel", "alpha", "grey alpha", "rgb", "palette", "16-bit"],
)
def test_modes(image, colour, trait, encode):
    decoded, traits = decode_with_traits(encode(image))
    assert decoded.size == (9, 7)
    assert close(decoded, colour)
    assert traits == trait


def test_palette_transparency_is_white(encode):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30] * 256)
    assert close(decode(encode(image, transparency=0)), (255, 255, 255))


def test_png_colour_key_is_white(encode):
    image = Image.new("RGB", (8, 8), (1, 2, 3))
    assert close(decode(encode(image, transparency=(1, 2, 3))), (255, 255, 255))


def test_cmyk(encode):
    decoded, traits = decode_with_traits(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert close(decoded, (255, 0, 0), 12)
    assert traits == ("cmyk",)


def test_sixteen_bit_is_scaled_not_clipped(encode):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    decoded = np.asarray(decode(encode(Image.fromarray(ramp))))[..., 0]
    assert decoded.reshape(-1).tolist() == list(range(256))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(orientation, encode):
    """All eight orientations of one scene decode to the scene: red above blue, wider than high."""
    scene = Image.new("RGB", (32, 16), "red")
    scene.paste("blue", (0, 8, 32, 16))
    scene.paste("white", (0, 0, 8, 4))
    stored = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    image = scene if stored is None else scene.transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(image, exif=exif)
    assert np.array_equal(np.asarray(decode(data)), np.asarray(scene))
    assert upright_size(io.BytesIO(data)) == (32, 16)


def test_first_frame_of_an_animation(encode):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    assert close(decode(encode(frames[0], "GIF", save_all=True, append_images=frames[1:])), (255, 0, 0))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kept", [0.0, 0.05, 0.6, 0.95])
def test_truncated_files_are_unusable(format, kept, picture, encode):
    data = encode(picture(0, (200, 200)), format)
    with pytest.raises(UnusableImage, match="is broken"):
        decode(data[: int(len(data) * kept)])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_bytes_never_raise_anything_else(picture, encode):
    rng = np.random.default_rng(0)
    for format in ("PNG", "JPEG", "WEBP", "TIFF", "GIF"):
        data = np.frombuffer(encode(picture(0), format), np.uint8)
        for _ in range(40):
            damaged = data.copy()
            where = rng.integers(0, min(len(data), 400), 4)
            damaged[where] = rng.integers(0, 256, 4)
            with suppress(UnusableImage):
                assert decode(damaged.tobytes()).mode == "RGB"


def test_decompression_bomb(monkeypatch, picture, encode):
    data = encode(picture(0))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnusableImage, match="huge"):
        decode(data)


def test_floating_point_pixels(encode):
    with pytest.raises(UnusableImage, match="floating-point"):
        decode(encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"))
