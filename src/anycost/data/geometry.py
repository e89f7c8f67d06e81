"""Pictures become squares of the training resolutions: crop or letterbox, then one antialiased resize each.

Every resolution is resized from the original pixels, never from another resolution [A §14 trap 10].
"""

from PIL import Image

from anycost.data.decode import UnusableImage
from anycost.errors import UserError

PIL_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


def square_side(size: tuple[int, int], padding: str) -> int:
    """Side of the square that a picture of (width, height) becomes before it is resized.

    Raises `UnusableImage` where `padding` is `error` and the picture is not square.
    """
    width, height = size
    if padding == "error" and width != height:
        raise UnusableImage(f"is {width}x{height} pixels, not square")
    return max(size) if padding == "letterbox" else min(size)


def square(image: Image.Image, padding: str) -> Image.Image:
    """The central square (`crop`), or the whole picture centred on black (`letterbox`).

    A 512x384 picture letterboxed has 64 black rows above and below, the layout of LSUN Car [A §4].
    """
    side = square_side(image.size, padding)
    width, height = image.size
    if width == height:
        return image
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))  # Pillow fills what lies outside with black


def centre_aspect(image: Image.Image, aspect: tuple[int, int]) -> Image.Image:
    """The largest central part whose width : height is `aspect`."""
    width, height = image.size
    across, down = aspect
    new_width = min(width, round(height * across / down))
    new_height = min(height, round(width * down / across))
    left, top = (width - new_width) // 2, (height - new_height) // 2
    return image.crop((left, top, left + new_width, top + new_height))


def resize(image: Image.Image, size: tuple[int, int], filter: str) -> Image.Image:
    """Antialiased resize to (width, height) by the named filter; the same object where nothing changes."""
    return image if image.size == size else image.resize(size, PIL_FILTERS[filter])


def check_large_enough(size: tuple[int, int], resolution: int, padding: str) -> None:
    """Raise `UnusableImage` where the square would have to be enlarged."""
    if square_side(size, padding) < resolution:
        raise UnusableImage(f"is {size[0]}x{size[1]} pixels, too small for resolution {resolution}")


def check_resolution(option: str, resolution: int) -> None:
    """Raise `UserError` where the side is no power of two from 8 on."""
    if resolution < 8 or resolution & (resolution - 1):
        lower = 1 << max(resolution.bit_length() - 1, 3)
        raise UserError(f"{option}={resolution} is not a power of two from 8 on; take {lower} or {2 * lower}")
