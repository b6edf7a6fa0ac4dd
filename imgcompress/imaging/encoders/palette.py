"""Images of at most 256 colours, with alpha: exact where they have no more, chosen where they do.

The colours are chosen by median cut and not dithered. On the sample photos that scored an SSIM
0.01 to 0.03 above Pillow's octree at the same number of colours, and dithering cost both bytes and
similarity. Median cut knows no alpha, so that pixels are sorted into clear, translucent and solid
ones first, and only the translucent ones, a thin edge as a rule, go through the octree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .common import frames_of, stack_frames

MAX_COLOURS = 256
# Median cut of more pixels than this looks at a reduced copy of the image.
PIXELS_TO_CHOOSE_FROM = 1_000_000
PIXELS_AT_ONCE = 1_000_000


def exact(frames: Sequence[Image.Image]) -> list[Image.Image] | None:
    """Return the same pixels in mode P, None where they have more than 256 colours together."""
    codes: NDArray[Any] = np.empty(0, dtype="<u4")
    for frame in frames:
        counted = frame.getcolors(MAX_COLOURS)
        if counted is None or frame.mode == "L" and len(counted) > 16:
            return None
        # In this byte order alpha is the highest byte: clear colours come first, as tRNS likes it.
        codes = np.unique(np.concatenate((codes, _codes(frame, counted))))
        if len(codes) > MAX_COLOURS or frame.mode == "L" and len(codes) > 16:
            return None
    table = codes.view(np.uint8).reshape(-1, 4)
    return [_indexed(_places(frame, codes), table) for frame in frames]


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


def bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the image in bands of whole rows, and where each begins.

    What numpy does to pixels takes many times their own memory for a moment.
    """
    rows = max(1, PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def chosen(frames: Sequence[Image.Image], colours: int) -> list[Image.Image]:
    """Return the frames (L, LA, RGB or RGBA) in mode P with at most `colours` colours together.

    With alpha there are up to three even where fewer are asked for: clear, translucent and solid.
    """
    factor = _reduction(frames)
    if frames[0].mode in ("LA", "RGBA"):
        if factor < 2:
            strip = stack_frames(frames)
            indexed = _with_alpha(strip if strip.mode == "RGBA" else strip.convert("RGBA"), colours)
            return frames_of(indexed, frames)
        return _many_with_alpha(frames, colours, factor)
    if factor < 2:
        return frames_of(stack_frames(frames).quantize(colours, Image.Quantize.MEDIANCUT), frames)
    palette = (
        stack_frames([frame.reduce(factor) for frame in frames])
        .convert("RGB")
        .quantize(colours, Image.Quantize.MEDIANCUT)
    )
    return [_mapped(frame, palette) for frame in frames]


def _reduction(frames: Sequence[Image.Image]) -> int:
    pixels = sum(frame.width * frame.height for frame in frames)
    return int((pixels / PIXELS_TO_CHOOSE_FROM) ** 0.5)


def _mapped(image: Image.Image, palette: Image.Image) -> Image.Image:
    """Return the image in the colours of a palette."""
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return rgb.quantize(palette=palette, dither=Image.Dither.NONE)


def name_clear_colour(image: Image.Image) -> None:
    """Give an image, whose colour 0 is clear, a palette without alpha and without doubles.

    For GIF, which marks its clear colour by number, while Pillow looks colours up by their value.
    """
    table = _table(image)
    taken = {tuple(colour) for colour in table[1:, :3].tolist()}
    free = next(colour for level in range(256) if (colour := (level, 0, 255)) not in taken)
    table[0, :3] = free
    image.putpalette(table[:, :3].tobytes(), "RGB")


def _with_alpha(image: Image.Image, colours: int) -> Image.Image:
    alpha = np.asarray(image.getchannel("A"))
    translucent = (alpha > 0) & (alpha < 255)
    indices = np.zeros(alpha.shape, dtype=np.uint8)
    table: NDArray[Any] = np.zeros((1, 4), dtype=np.uint8)
    edge = max(1, colours // 4)
    shares = {"RGBA": edge, "RGB": max(1, colours - 1 - edge)}
    for mode, mask in (("RGBA", translucent), ("RGB", alpha == 255)):
        if mask.any():
            reduced = _chosen_row(_selected(image, mode, mask), shares[mode])
            indices[mask] = np.asarray(reduced)[0] + len(table)
            table = np.concatenate((table, _table(reduced)))
    return _indexed(indices, table)


def _selected(image: Image.Image, mode: str, mask: NDArray[np.bool_]) -> Image.Image:
    """Return the pixels of the mask, in this mode, as one row."""
    whole = image if image.mode == mode else image.convert(mode)
    return Image.fromarray(np.asarray(whole)[mask][np.newaxis])


def _chosen_row(row: Image.Image, colours: int) -> Image.Image:
    if row.mode == "RGBA":
        return row.quantize(colours, Image.Quantize.FASTOCTREE)
    return chosen([row], colours)[0]


def _many_with_alpha(frames: Sequence[Image.Image], colours: int, factor: int) -> list[Image.Image]:
    """Return frames of very many pixels in colours that are chosen from a share of them."""
    some = np.concatenate(
        [
            np.asarray(band.convert("RGBA")).reshape(-1, 4)[:: factor * factor]
            for frame in frames
            for _, band in bands(frame)
        ]
    )
    table = _table(_with_alpha(Image.fromarray(some[np.newaxis]), colours))
    solid = np.flatnonzero(table[:, 3] == 255).astype(np.uint8)
    swatch = Image.new("P", (1, 1))
    swatch.putpalette(table[solid, :3].tobytes(), "RGB")
    nearest = _nearest(table)

    def places(band: Image.Image) -> NDArray[Any]:
        pixels = np.asarray(band.convert("RGBA"))
        alpha = pixels[..., 3]
        found: NDArray[Any] = nearest[tuple((pixels >> 4)[..., channel] for channel in range(4))]
        if len(solid):
            found = np.where(alpha == 255, solid[np.asarray(_mapped(band, swatch))], found)
        found[alpha == 0] = 0
        return found

    return [
        _indexed(np.concatenate([places(band) for _, band in bands(frame)]), table)
        for frame in frames
    ]


def _nearest(table: NDArray[Any]) -> NDArray[np.uint8]:
    """Return for the upper 4 bits of red, green, blue and alpha which colour is the nearest."""
    levels = np.arange(16, dtype=np.int32) * 17
    nearest = np.empty((16, 16, 16, 16), dtype=np.uint8)
    for red, level in enumerate(levels):
        distances = np.zeros((16, 16, 16, len(table)), dtype=np.int32)
        distances += (level - table[:, 0].astype(np.int32)) ** 2
        for channel, shape in ((1, (16, 1, 1, 1)), (2, (1, 16, 1, 1)), (3, (1, 1, 16, 1))):
            distances += (levels.reshape(shape) - table[:, channel].astype(np.int32)) ** 2
        nearest[red] = distances.argmin(axis=-1)
    return nearest


def _table(image: Image.Image) -> NDArray[Any]:
    return np.array(image.getpalette("RGBA"), dtype=np.uint8).reshape(-1, 4)


def _indexed(indices: NDArray[Any], table: NDArray[Any]) -> Image.Image:
    image = Image.fromarray(indices)
    opaque = bool((table[:, 3] == 255).all())
    image.putpalette((table[:, :3] if opaque else table).tobytes(), "RGB" if opaque else "RGBA")
    return image
