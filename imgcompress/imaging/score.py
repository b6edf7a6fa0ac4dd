"""How good a compressed image looks beside its source, from 0 to 100.

The scale is that of SSIMULACRA2 (Sneyers, Cloudinary, 2022/23): 90 is visually lossless, 70 high, 50
medium quality. The score is a short estimate of it: the structural error of SSIM, with
SSIMULACRA2's constant and without the damping of the mean by luminance,

    e = 1 - (1 - (mx - my)^2) (2 sxy + C) / (sx^2 + sy^2 + C),    C = 0.0009

over windows of 4 x 4 pixels side by side, in Y, Cb and Cr from 0 to 1, at full size and reduced by
2, 4 and 8; of each the mean and the 4-norm, (mean of e^4)^(1/4), which weights small bad areas.
Eleven of these 24 numbers matter. Their weights were fitted to SSIMULACRA2 on 732 outputs of 34
images; on images outside that fit, the correlation is 0.97 and the mean error 4 points
(benchmarks/results/score.md).

Of an image of more than about 130 tiles of 32 x 32 pixels, 100 are compared. They hold whole
windows of every size, so that a window is the same in the image and among the tiles.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .decode import decoded_webp, to_plain
from .turbo import START_OF_JPEG, Pixels, decoded_again

BEST = 100.0
# Points that a JPEG loses when the logarithm of its quantisation step grows by 1.
POINTS_PER_STEP = 13.385
TILE = 32
TILES = 100
# An image of little more than TILES tiles is compared as a whole.
_WHOLE = 130
_C = np.float32(0.0009)
# ITU-R BT.601, from levels of 0 to 255 to Y, Cb and Cr over a range of 1.
_YCC: NDArray[Any] = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
).astype(np.float32) / np.float32(255)
# For each reduction, 1 to 8, and each of Y, Cb and Cr: the weight of the mean and of the 4-norm.
_WEIGHTS = np.array(
    [
        [[14.1, 3.9], [0, 0], [11.4, 6.0]],
        [[0, 12.8], [0, 0], [0, 0]],
        [[105.2, 28.7], [0, 40.4], [0, 6.9]],
        [[528.7, 22.5], [0, 0], [0, 16.8]],
    ]
)
# SSIMULACRA2's own last step: 100 - 10 x^0.6276.
_POWER = 0.6276336467831387


def score(original: Image.Image, output: bytes) -> float:
    """Return the score of an encoded output against the pixels that it was made from.

    Of an animation the first frame is compared. What is clear is compared on white and on black,
    and the lower score counts.
    """
    original = sampled(original)
    if output.startswith(START_OF_JPEG):
        return compared(_on(original, "white"), sample(decoded_again(output)))
    with Image.open(io.BytesIO(output)) as opened:
        still = decoded_webp(opened, output) if opened.format == "WEBP" else None
        if still is None:
            opened.load()
        made = to_plain(sampled(still)) if still else sampled(to_plain(opened))
    grounds = ("white", "black") if _has_alpha(original) or _has_alpha(made) else ("white",)
    return min(compared(_on(original, ground), _on(made, ground)) for ground in grounds)


def estimated_score(quality: int) -> float:
    """Return the average score of a JPEG that the JPEG engine made at this quality.

    The look of a JPEG follows its quantisation closely, so that this takes no time: on photos that it
    was not fitted to, it correlates by 0.93 with SSIMULACRA2, with a mean error of 4 points
    (benchmarks/results/score.md). `quality` is on libjpeg's scale.
    """
    percent = 5000 / quality if quality < 50 else max(1, 200 - 2 * quality)
    return min(BEST, max(0.0, 109.7 - 4.82 * math.sqrt(percent)))


def lowest_quality(score: float) -> int:
    """Return the lowest quality whose estimated score is at least this."""
    return next((quality for quality in range(1, 95) if estimated_score(quality) >= score), 95)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("LA", "RGBA")


def _on(image: Image.Image, ground: str) -> Pixels:
    """Return rows x columns x 1, 3 or 4 levels; the fourth has no meaning."""
    if _has_alpha(image):
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, ground), rgba)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def sample(pixels: Pixels) -> Pixels:
    """Return some tiles side by side, as an image of TILE rows; a small image as it is."""
    rows, columns, bands = pixels.shape[0] // TILE, pixels.shape[1] // TILE, pixels.shape[2]
    places = _places(rows, columns)
    if places is None:
        return pixels
    grid = pixels[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE, bands)
    tiles = grid[places // columns, :, places % columns]
    return np.ascontiguousarray(tiles.transpose(1, 0, 2, 3)).reshape(TILE, -1, bands)


def sampled(image: Image.Image) -> Image.Image:
    """Return the tiles of `sample` without a copy of all other pixels."""
    columns = image.width // TILE
    places = _places(image.height // TILE, columns)
    if places is None:
        return image
    tiles = Image.new(image.mode, (TILE * len(places), TILE))
    for number, place in enumerate(map(int, places)):
        left, top = place % columns * TILE, place // columns * TILE
        tiles.paste(image.crop((left, top, left + TILE, top + TILE)), (number * TILE, 0))
    return tiles


def _places(rows: int, columns: int) -> NDArray[Any] | None:
    """Return which tiles of rows x columns are compared, counted row by row; None for all of them.

    Their places are those of the R2 sequence (Roberts, 2018), which fills a rectangle evenly
    without the rows and columns of a grid, with which patterns of an image could coincide.
    """
    if rows * columns <= _WHOLE:
        return None
    number = np.arange(TILES)
    down = ((0.5 + number * 0.7548776662) % 1 * rows).astype(int)
    across = ((0.5 + number * 0.5698402910) % 1 * columns).astype(int)
    return np.unique(down * columns + across)


def compared(one: Pixels, other: Pixels) -> float:
    """Return the score of rows x columns x bands of levels against others of the same size."""
    x, y = _planes(one), _planes(other)
    # SSIM from the moments of x + y and x - y takes fewer steps than from those of x, y and xy.
    both, difference = x + y, x - y
    errors = []
    for _ in _WEIGHTS:
        smaller = _halved(both), _halved(difference)
        errors.append(_errors(both, difference, *map(_halved, smaller)))
        both, difference = smaller
    distance = float((np.array(errors) * _WEIGHTS).sum())
    return max(0.0, BEST - 10 * math.pow(max(0.0, distance), _POWER))


def _planes(pixels: Pixels) -> NDArray[Any]:
    """Return Y, Cb and Cr; a side shorter than the largest window is filled up with its edge."""
    rgb = pixels[..., :3].reshape(-1, min(3, pixels.shape[2])).T.astype(np.float32)
    if len(rgb) == 1:
        rgb = np.repeat(rgb, 3, axis=0)
    # Not a matrix product: where memory is short, OpenBLAS ends the process (seen).
    planes: NDArray[Any] = np.einsum("ij,jk->ik", _YCC, rgb).reshape(3, *pixels.shape[:2])
    missing = [max(0, TILE - side) for side in pixels.shape[:2]]
    if any(missing):
        planes = np.pad(planes, ((0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
    return planes


def _halved(planes: NDArray[Any]) -> NDArray[Any]:
    """Return the means of 2 x 2 pixels; an odd last row or column is left out."""
    high, wide = planes.shape[1] // 2 * 2, planes.shape[2] // 2 * 2
    rows = planes[:, 0:high:2] + planes[:, 1:high:2]
    halved: NDArray[Any] = (rows[:, :, 0:wide:2] + rows[:, :, 1:wide:2]) * np.float32(0.25)
    return halved


def _errors(
    both: NDArray[Any], difference: NDArray[Any], of_both: NDArray[Any], of_difference: NDArray[Any]
) -> NDArray[Any]:
    """Return mean and 4-norm of the error in each of Y, Cb, Cr; the last two are means of 4 x 4."""
    squared = of_difference * of_difference
    variance = _halved(_halved(both * both)) - of_both * of_both
    lost = _halved(_halved(difference * difference)) - squared
    divisor = variance + lost + 2 * _C
    error = np.maximum(0, (2 * lost + squared * (variance - lost + 2 * _C)) / divisor)
    error = error.reshape(3, -1)
    fourth = np.square(np.square(error))
    result: NDArray[Any] = np.stack((error.mean(axis=1), fourth.mean(axis=1) ** 0.25), axis=1)
    return result
