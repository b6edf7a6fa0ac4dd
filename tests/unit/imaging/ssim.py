"""SSIM, by which tests compare the JPEG engine with the way by pixels.

Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE Transactions on Image Processing 13(4), 2004:

    SSIM = (2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2))

with C1 = (0.01 x 255)^2 and C2 = (0.03 x 255)^2, here over 8 x 8 windows side by side with equal
weights instead of a sliding Gaussian of 11 x 11, and averaged. Both fractions are computed from the
moments of x + y and x - y, which takes half as many steps as from those of x, y and xy together:

    m(x+y)^2 + m(x-y)^2 = 2 (mx^2 + my^2)      m(x+y)^2 - m(x-y)^2 = 4 mx my

and the variances likewise. Values depend on the scale: the same pair of images scores higher the
smaller it is made, so that numbers compare only with numbers of this function.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgcompress.imaging.decode import to_plain
from imgcompress.imaging.turbo import Pixels

WINDOW = 8
# The authors' page about SSIM suggests to scale the shorter side to about 256 pixels.
USUAL_SIDE = 256
MAX_REDUCTION = 4
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def reduction(size: tuple[int, int]) -> int:
    """Return the factor, 1, 2 or 4, by which images of this size are reduced to be compared."""
    wanted = max(1, round(min(size) / USUAL_SIDE))
    return int(min(MAX_REDUCTION, 1 << (wanted.bit_length() - 1)))


def similarity(original: Image.Image, output: bytes) -> float:
    """Return the SSIM of an encoded output against the pixels that it was made from.

    A JPEG is decoded for this at the reduced size and without its colours, which costs a
    fraction of a decode and scores within 0.001 of the full one. Of an animation the first frame
    is compared.
    """
    factor = reduction(original.size)
    with Image.open(io.BytesIO(output)) as decoded:
        if decoded.format == "JPEG":
            decoded.draft("L", (decoded.width // factor, decoded.height // factor))
        decoded.load()
        # A palette needs no detour by colours, which take four times the memory.
        solid = decoded.mode == "P" and not decoded.has_transparency_data
        plain = decoded.convert("L") if solid else to_plain(decoded)
    if plain.size == original.size:
        plain = luma(plain, factor)
    return ssim(luma(original, factor), plain.convert("L"))


def luma(image: Image.Image, factor: int) -> Image.Image:
    """Return the luma of an image (modes L, LA, RGB, RGBA) on white, reduced by `factor`."""
    grey = image.convert("L")
    if image.mode in ("LA", "RGBA"):
        grey = Image.composite(grey, Image.new("L", image.size, 255), image.getchannel("A"))
    return grey.reduce(factor) if factor > 1 else grey


def ssim(one: Image.Image | Pixels, other: Image.Image | Pixels) -> float:
    """Return the mean SSIM, 0 to 1, of two L images (or their rows x columns) of the same size."""
    x, y = _windows(one), _windows(other)
    sum_mean, sum_variance = _moments(x + y)
    difference_mean, difference_variance = _moments(x - y)
    scores = _likeness(sum_mean, difference_mean, _C1) * _likeness(
        sum_variance, difference_variance, _C2
    )
    return min(1.0, max(0.0, float(scores.sum()) / len(scores)))


def _windows(image: Image.Image | Pixels) -> NDArray[np.float32]:
    """Return one row of pixels for each window; what fills no window is left out.

    An image that is narrower than a window has narrower windows: to enlarge it would cost its
    length as often as it is narrower.
    """
    pixels = np.asarray(image)
    high, wide = (min(WINDOW, side) for side in pixels.shape)
    rows, columns = pixels.shape[0] // high, pixels.shape[1] // wide
    grid = pixels[: rows * high, : columns * wide].reshape(rows, high, columns, wide)
    together = np.ascontiguousarray(grid.swapaxes(1, 2), dtype=np.float32)
    return together.reshape(-1, high * wide)


def _moments(windows: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the square of the mean and the variance of each window.

    Their sums are exact: 64 squares of twice a byte are less than 2^24 together.
    """
    pixels = windows.shape[1]
    mean = windows.sum(axis=1) / pixels
    squared = mean * mean
    return squared, (windows * windows).sum(axis=1) / pixels - squared


def _likeness(of_sum: NDArray[Any], of_difference: NDArray[Any], constant: float) -> NDArray[Any]:
    """Return one fraction of the formula."""
    fraction: NDArray[Any] = 2 * of_difference / (of_sum + of_difference + 2 * constant)
    return 1 - fraction
