"""The similarity of a JPEG from a sample of its blocks, for a tenth of its encoding's time.

A JPEG encodes each of its blocks for itself, and its luma as if there were no colours. So tiles cut
out along the edges of blocks and put together anew, like a mosaic, suffer in a grey JPEG the very
losses that they suffer within the whole image: the score of the mosaic is that of similarity.py
over some of its windows.
"""

from __future__ import annotations

import math

import numpy as np

from .similarity import WINDOW, luma, reduction, ssim
from .turbo import Pixels, encoded_luma, reduced_luma, viewed

# The side of the square that a JPEG at 4:2:0 encodes together.
BLOCK = 16
# About so many tiles are looked at. On the sample photos in several sizes, at quality 30, 50 and
# 80, the score is within 0.003 of that of all tiles in 95 of 100 cases, and 0.0006 from it on
# average.
TILES = 100


def sampled_similarity(pixels: Pixels, quality: int) -> float:
    """Return about the SSIM of these pixels' JPEG against them, without a look at that JPEG."""
    factor = reduction((pixels.shape[1], pixels.shape[0]))
    some = mosaic(pixels, max(BLOCK, WINDOW * factor))
    image = viewed(some)
    decoded = reduced_luma(encoded_luma(some, quality), image.size, factor)
    return ssim(luma(image, factor), decoded)


def mosaic(pixels: Pixels, side: int) -> Pixels:
    """Return about TILES square tiles, from all over the image, as an image of their own.

    An image of fewer tiles is returned as it is, with the narrow rest at its edges.
    """
    rows, columns, bands = (pixels.shape[0] // side, pixels.shape[1] // side, pixels.shape[2])
    step = math.isqrt(rows * columns // TILES)
    if step < 2:
        return pixels
    grid = pixels[:rows * side, :columns * side].reshape(rows, side, columns, side, bands)
    tiles = grid[step // 2::step, :, step // 2::step]
    return np.ascontiguousarray(tiles).reshape(tiles.shape[0] * side, tiles.shape[2] * side, bands)
