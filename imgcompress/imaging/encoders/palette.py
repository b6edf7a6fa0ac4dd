"""Images of at most 256 colours, with alpha: exact where they have no more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .quantiser import bands, indexed

MAX_COLOURS = 256


def exact(frames: Sequence[Image.Image]) -> list[Image.Image] | None:
    """Return the same pixels in mode P, None where they have more than 256 colours together."""
    codes = exact_codes(frames)
    return None if codes is None else [coded(frame, codes) for frame in frames]


def exact_codes(frames: Iterable[Image.Image]) -> NDArray[Any] | None:
    """Return all colours of the frames, each as the number that its RGBA bytes make, in order.

    None where they are more than 256, or of a grey image more than 16.
    """
    codes: NDArray[Any] = np.empty(0, dtype="<u4")
    for frame in frames:
        counted = frame.getcolors(MAX_COLOURS)
        if counted is None or frame.mode == "L" and len(counted) > 16:
            return None
        # In this byte order alpha is the highest byte: clear colours come first, as tRNS likes it.
        codes = np.unique(np.concatenate((codes, _codes(frame, counted))))
        if len(codes) > MAX_COLOURS or frame.mode == "L" and len(codes) > 16:
            return None
    return codes


def coded(frame: Image.Image, codes: NDArray[Any]) -> Image.Image:
    """Return a frame in mode P whose colours are all among these codes."""
    return indexed(_places(frame, codes), codes.view(np.uint8).reshape(-1, 4))


def _codes(image: Image.Image, counted: list[tuple[int, Any]]) -> NDArray[Any]:
    """Return the colours that were counted as the numbers that their RGBA bytes make."""
    swatch = Image.new(image.mode, (len(counted), 1))
    swatch.putdata([colour for _, colour in counted])
    codes: NDArray[Any] = np.asarray(swatch.convert("RGBA")).view("<u4").reshape(-1)
    return codes


def _places(image: Image.Image, codes: NDArray[Any]) -> NDArray[np.uint8]:
    """Return for each pixel where its colour stands among the codes, which are in order."""
    places = np.empty((image.height, image.width), dtype=np.uint8)
    for top, band in bands(image):
        pixels = np.asarray(band.convert("RGBA")).view("<u4")[..., 0]
        places[top : top + band.height] = np.searchsorted(codes, pixels)
    return places


def name_clear_colour(image: Image.Image) -> None:
    """Give an image, whose colour 0 is clear, a palette without alpha and without duplicates.

    For GIF, which marks its clear colour by number, while Pillow looks colours up by their value.
    """
    table = np.array(image.getpalette("RGBA"), dtype=np.uint8).reshape(-1, 4)
    taken = {tuple(colour) for colour in table[1:, :3].tolist()}
    free = next(colour for level in range(256) if (colour := (level, 0, 255)) not in taken)
    table[0, :3] = free
    image.putpalette(table[:, :3].tobytes(), "RGB")
