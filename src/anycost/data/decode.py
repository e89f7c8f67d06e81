"""Encoded pictures of every kind become upright 8-bit RGB, as a person would expect to see them.

What happens to each kind:

- EXIF orientation is applied;
- alpha (also palette and PNG transparency) is laid over white;
- grey is repeated over the three channels, 16-bit grey is scaled by 1/257 (not clipped), 16-bit RGB keeps its
  high byte;
- CMYK goes through its embedded colour profile, or Pillow's plain conversion where there is none;
- of animations and multi-page files the first frame is taken;
- floating-point pixels (no fixed range), empty, truncated and damaged files, and pictures above Pillow's
  decompression-bomb limit raise `UnusableImage`.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from anycost.errors import UserError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2",
                      ".avif"})
_ORIENTATION_TAG = 0x0112
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")


class UnusableImage(Exception):
    """A picture that cannot be trained on; the message is the reason, worded to follow the file's name."""


@contextmanager
def unusable_errors() -> Iterator[None]:
    """Turn whatever a file system, an archive or a decoder raises into `UnusableImage`."""
    try:
        yield
    except (UnusableImage, UserError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UnusableImage(f"is huge: more than {limit} million pixels") from error
    except UnidentifiedImageError as error:
        raise UnusableImage("is broken: not a picture that Pillow can read") from error
    except Exception as error:  # damaged files make decoders raise nearly every built-in type
        raise UnusableImage(f"is broken: {error or type(error).__name__}") from error


def upright_size(file: IO[bytes]) -> tuple[int, int]:
    """(width, height) after EXIF rotation, from the header alone; raises `UnusableImage`."""
    with unusable_errors(), Image.open(file) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def decode(data: bytes) -> Image.Image:
    """An encoded picture as upright RGB of its own size; raises `UnusableImage`."""
    return decode_with_traits(data)[0]


def decode_with_traits(data: bytes) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture of `decode` and what was unusual about the file: `rotated`, `grey`, `16-bit`, `cmyk`, `alpha`."""
    if not data:
        raise UnusableImage("is broken: the file is empty")
    with unusable_errors(), Image.open(io.BytesIO(data)) as image:
        image.load()
        traits = _traits(image)
        return to_rgb(ImageOps.exif_transpose(image)), traits


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow to RGB by the rules of this file; raises `UnusableImage` for floating-point pixels."""
    if image.mode == "F":
        raise UnusableImage("has floating-point pixels, whose range is unknown")
    if image.mode in _SIXTEEN_BIT:
        grey = np.clip(np.asarray(image, dtype=np.int64), 0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "CMYK" and image.info.get("icc_profile"):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        assert converted is not None  # None only comes from in-place conversion
        return converted
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return image.convert("RGB")


def _traits(image: Image.Image) -> tuple[str, ...]:
    found = {
        "rotated": _orientation(image) > 1,
        "grey": image.mode in ("1", "L", "LA", *_SIXTEEN_BIT),
        "16-bit": image.mode in _SIXTEEN_BIT,
        "cmyk": image.mode == "CMYK",
        "alpha": image.has_transparency_data,
    }
    return tuple(name for name, present in found.items() if present)


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(_ORIENTATION_TAG, 1))
