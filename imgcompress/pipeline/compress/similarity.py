"""How much an output looks like its input: SSIM of the luma at a reduced size.

Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE Transactions on Image Processing 13(4), 2004:

    SSIM = (2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2))

with C1 = (0.01 x 255)^2 and C2 = (0.03 x 255)^2, here over 8 x 8 windows side by side with equal
weights instead of a sliding Gaussian of 11 x 11, and averaged. Values depend on the scale: the same
pair of images scores higher the smaller it is made, so that numbers compare only with numbers of
this function.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .modes import to_plain

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
        plain = to_plain(decoded)
    if plain.size == original.size:
        plain = luma(plain, factor)
    return ssim(luma(original, factor), plain.convert("L"))


def luma(image: Image.Image, factor: int) -> Image.Image:
    """Return the luma of an image (modes L, LA, RGB, RGBA) on white, reduced by `factor`."""
    grey = image.convert("L")
    if image.mode in ("LA", "RGBA"):
        grey = Image.composite(grey, Image.new("L", image.size, 255), image.getchannel("A"))
    return grey.reduce(factor) if factor > 1 else grey


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Return the mean SSIM of two L images of the same size, 0 to 1."""
    x, y = _in_bands(one), _in_bands(other)
    mean_x, mean_y = _window_means(x), _window_means(y)
    variance_x = _window_means(x * x) - mean_x * mean_x
    variance_y = _window_means(y * y) - mean_y * mean_y
    covariance = _window_means(x * y) - mean_x * mean_y
    scores = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x * mean_x + mean_y * mean_y + _C1) * (variance_x + variance_y + _C2))
    return float(min(1.0, max(0.0, scores.mean())))


def _in_bands(image: Image.Image) -> NDArray[Any]:
    """Return the pixels as bands of WINDOW rows; what fills no window is left out."""
    if min(image.size) < WINDOW:
        image = image.resize((max(WINDOW, image.width), max(WINDOW, image.height)))
    rows, columns = (side // WINDOW * WINDOW for side in (image.height, image.width))
    pixels = np.asarray(image)[:rows, :columns].astype(np.float32)
    return pixels.reshape(-1, WINDOW, columns)


def _window_means(bands: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of each window; two sums in this order are four times as fast as one."""
    columns = bands.sum(axis=1)
    means: NDArray[Any] = columns.reshape(len(columns), -1, WINDOW).sum(axis=2) / WINDOW**2
    return means
