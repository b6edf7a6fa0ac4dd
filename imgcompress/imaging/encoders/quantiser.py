"""Choose the colours of a palette, and map pixels to them.

Colours are chosen from a sample of the pixels: it is split, always where the squared error is the
largest, until there is a box for each colour, and Lloyd's algorithm moves the colours to the middle
of what they stand for. Errors are then diffused to the neighbours of a pixel, which keeps soft
shadows and gradients soft. Clear, translucent and solid pixels have colours of their own, so that
what is solid stays so.

A colour with alpha is measured as it is seen: the squared distance of two colours is the mean of
what it is on black and what it is on white. For a channel p under alpha a, both 0 to 1, that is the
sum of the squared differences of a (p - 1/2) and of a / 2, an ordinary distance on four axes.

The mapping is written in C (jpeg_engine/core/quantiser.c). Where that is not built, numpy and
Pillow do the same more coarsely: with five bits per channel, and without diffusion where there is
alpha.
"""

from __future__ import annotations

import ctypes
import heapq
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import count
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..jpeg_engine import library

# Red, green, blue and alpha of each colour, 0 to 255; a clear colour is the first.
Table = NDArray[np.uint8]
Points = NDArray[np.float32]

SAMPLE = 50_000
LLOYD_STEPS = 3
PIXELS_AT_ONCE = 1_000_000
# Green, red and blue by how much they are seen, and alpha by all of them.
WEIGHTS = np.array([1.0, 0.75, 0.6], dtype=np.float32)
AXES = np.append(WEIGHTS, np.sqrt((WEIGHTS**2).sum())).astype(np.float32)
# A pixel this near to a colour, squared, is that colour.
EXACT = 0.5
# An error this many times as large as the mean error of the palette, squared, is halved.
REDUCED = 4.0
# Rows of pixels that numpy compares with all colours at once.
_ROWS_AT_ONCE = 4_096


def bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield the image in bands of whole rows, and where each begins.

    The intermediate results of numpy take many times the memory of the pixels.
    """
    rows = max(1, PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


class Quantiser:
    """Reduces frames (in any plain mode) to few colours, the same ones in all of them."""

    def __init__(self, frames: Sequence[Image.Image]) -> None:
        self._frames = frames
        self._tables: dict[int, Table] = {}

    @cached_property
    def _sampled(self) -> tuple[Table, NDArray[Any]]:
        codes, counts = _sample(self._frames)
        return codes.view(np.uint8).reshape(-1, 4), counts

    def mapped(self, colours: int, dither: float) -> list[Image.Image]:
        """Return the frames in mode P with at most `colours` colours; `dither` is 0 to 1."""
        table = self.table(colours)
        return [mapped(frame, table, dither) for frame in self._frames]

    def table(self, colours: int) -> Table:
        """Return at most `colours` colours (2 to 256)."""
        if colours not in self._tables:
            self._tables[colours] = _chosen(*self._sampled, colours)
        return self._tables[colours]

    def error(self, colours: int) -> float:
        """Return how far pixels are from the nearest colour, as a root mean square of levels."""
        seen, counts = self._sampled
        _, distances = _nearest(_points(seen), _points(self.table(colours)))
        return float(((distances * counts).sum() / counts.sum()) ** 0.5)


def _chosen(seen: Table, counts: NDArray[Any], colours: int) -> Table:
    clear, solid = seen[:, 3] == 0, seen[:, 3] == 255
    tables = [np.zeros((int(clear.any()), 4), dtype=np.uint8)]
    points, weights = _points(seen), counts.astype(np.float32)
    kinds = [np.flatnonzero(kind) for kind in (solid, ~solid & ~clear) if kind.any()]
    for kind, middles in zip(kinds, _split(points, weights, kinds, colours - len(tables[0]))):
        tables.append(_colours(_lloyd(points[kind], weights[kind], middles)))
    return np.unique(np.concatenate(tables).view("<u4")).view(np.uint8).reshape(-1, 4)


def _sample(frames: Sequence[Image.Image]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the colours of about SAMPLE pixels of all frames, and how often each is there."""
    pixels = sum(frame.width * frame.height for frame in frames)
    step = max(1, pixels // SAMPLE)
    # One pixel of every `step`, at varying places, so that no column of a pattern is missed.
    parts = []
    for frame in frames:
        for _, band in bands(frame):
            codes = np.asarray(band.convert("RGBA")).view("<u4").reshape(-1)
            starts = np.arange(0, len(codes), step)
            parts.append(codes[np.minimum(starts + starts * 7919 // step % step, len(codes) - 1)])
    return np.unique(np.concatenate(parts), return_counts=True)


def _points(table: Table) -> Points:
    alpha = table[:, 3:].astype(np.float32) / 255
    points = np.empty(table.shape, dtype=np.float32)
    points[:, :3] = AXES[:3] * alpha * (table[:, [1, 0, 2]] - np.float32(127.5))
    points[:, 3:] = AXES[3] * alpha * np.float32(127.5)
    return points


def _colours(points: Points) -> Table:
    alpha = np.clip(points[:, 3:] / (AXES[3] * np.float32(127.5)), 1 / 255, 1)
    bands = np.clip(points[:, :3] / AXES[:3] / alpha + 127.5, 0, 255)
    table = np.concatenate((bands[:, [1, 0, 2]], 255 * alpha), axis=1)
    return np.ascontiguousarray(np.rint(table), dtype=np.uint8)


def _split(
    points: Points, weights: NDArray[np.float32], kinds: list[NDArray[Any]], colours: int
) -> list[Points]:
    """Return for each kind of points the means of its boxes, which are `colours` or fewer."""
    # The number of each makes them differ before their arrays are compared.
    boxes: list[tuple[float, int, NDArray[Any], Points, int, int]] = []
    numbers = count()
    done: list[tuple[Points, int]] = []

    def add(chosen: NDArray[Any], kind: int) -> None:
        inside, weight = points[chosen], weights[chosen]
        middle = np.einsum("i,ij->j", weight, inside) / weight.sum()
        errors = np.einsum("i,ij->j", weight, (inside - middle) ** 2)
        widest = int(errors.argmax())
        heapq.heappush(boxes, (-float(errors.sum()), next(numbers), chosen, middle, widest, kind))

    for kind, chosen in enumerate(kinds):
        add(chosen, kind)
    while boxes and len(boxes) + len(done) < colours:
        _, _, chosen, middle, axis, kind = heapq.heappop(boxes)
        above = points[chosen, axis] > middle[axis]
        if above.all() or not above.any():
            done.append((middle, kind))
            continue
        add(chosen[above], kind)
        add(chosen[~above], kind)
    done += [(box[3], box[5]) for box in boxes]
    return [
        np.array([middle for middle, of in done if of == kind], dtype=np.float32)
        for kind in range(len(kinds))
    ]


def _lloyd(points: Points, weights: NDArray[np.float32], colours: Points) -> Points:
    """Move each colour to the mean of the points that it is the nearest of."""
    for _ in range(LLOYD_STEPS):
        indices, distances = _nearest(points, colours)
        totals = np.bincount(indices, weights, len(colours))
        sums = [np.bincount(indices, weights * axis, len(colours)) for axis in points.T]
        used = totals > 0
        moved = np.empty_like(colours)
        moved[used] = (np.array(sums).T[used] / totals[used, None]).astype(np.float32)
        # A colour that is the nearest of no point moves to the largest error.
        farthest = np.argsort(-distances * weights)[: int((~used).sum())]
        moved[~used] = points[farthest]
        colours = moved
    return colours


def _nearest(points: Points, colours: Points) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return for each point which colour is the nearest, and its squared distance."""
    indices = np.empty(len(points), dtype=np.uint8)
    distances = np.empty(len(points), dtype=np.float32)
    if loaded := _library():
        points, colours = np.ascontiguousarray(points), np.ascontiguousarray(colours)
        loaded.quantiser_nearest(
            _memory(points),
            ctypes.c_int64(len(points)),
            _memory(colours),
            len(colours),
            _memory(indices),
            _memory(distances),
        )
        return indices, distances
    lengths = (colours**2).sum(axis=1)
    for start in range(0, len(points), _ROWS_AT_ONCE):
        some = points[start : start + _ROWS_AT_ONCE]
        apart = lengths - 2 * np.einsum("nd,kd->nk", some, colours)
        best = apart.argmin(axis=1)
        indices[start : start + len(some)] = best
        distances[start : start + len(some)] = apart[np.arange(len(some)), best] + (some**2).sum(1)
    return indices, np.maximum(distances, 0)


def mapped(image: Image.Image, table: Table, dither: float) -> Image.Image:
    """Return the image in mode P with the colours of the table; `dither` is 0 (none) to 1."""
    loaded = _library()
    if loaded is None:
        return _mapped_without_library(image, table, dither)
    indices = np.empty((image.height, image.width), dtype=np.uint8)
    errors = np.zeros((2, image.width + 2, 4), dtype=np.float32)
    colours = _points(table)
    first_solid = _first_solid(table)
    for top, band in bands(image):
        pixels = np.ascontiguousarray(band.convert("RGBA"))
        loaded.quantiser_map(
            _memory(pixels),
            band.width,
            band.height,
            top,
            _memory(AXES),
            _memory(colours),
            len(colours),
            first_solid,
            *(ctypes.c_float(value) for value in (dither, EXACT, REDUCED)),
            _memory(errors),
            _memory(indices[top:]),
        )
    return indexed(indices, table)


def _mapped_without_library(image: Image.Image, table: Table, dither: float) -> Image.Image:
    if dither and image.mode in ("L", "RGB") and (table[:, 3] == 255).all():
        swatch = Image.new("P", (1, 1))
        swatch.putpalette(table[:, :3].tobytes(), "RGB")
        image = image.convert("RGB")
        return image.quantize(palette=swatch, dither=Image.Dither.FLOYDSTEINBERG)
    colours, first_solid = _points(table), _first_solid(table)
    nearest = np.empty(1 << 20, dtype=np.uint8)
    indices = np.empty((image.height, image.width), dtype=np.uint8)
    for top, band in bands(image):
        pixels = np.asarray(band.convert("RGBA")) >> 3
        codes = np.zeros(pixels.shape[:2], dtype=np.int32)
        for channel in range(4):
            codes = codes << 5 | pixels[..., channel]
        found = np.zeros(1 << 20, dtype=bool)
        found[codes] = True
        there = np.flatnonzero(found)
        levels = there[:, None] >> np.array([15, 10, 5, 0]) & 31
        some = (levels * 255 // 31).astype(np.uint8)
        nearest[there] = _nearest(_points(some), colours)[0]
        solid = some[:, 3] == 255
        if solid.any() and first_solid < len(table):
            nearest[there[solid]] = _nearest(_points(some[solid]), colours[first_solid:])[0]
            nearest[there[solid]] += np.uint8(first_solid)
        indices[top : top + band.height] = nearest[codes]
    return indexed(indices, table)


def _first_solid(table: Table) -> int:
    """Return where the solid colours begin, which are the last ones."""
    return int((table[:, 3] < 255).sum())


def indexed(indices: NDArray[Any], table: Table) -> Image.Image:
    """Return the image in mode P of these indices."""
    image = Image.fromarray(indices)
    opaque = bool((table[:, 3] == 255).all())
    image.putpalette((table[:, :3] if opaque else table).tobytes(), "RGB" if opaque else "RGBA")
    return image


def _library() -> ctypes.CDLL | None:
    """Return the library with the mapping in C, None where it is not built."""
    loaded = library.library()
    # The engine may have been built before the quantiser was a part of it.
    usable = isinstance(loaded, ctypes.CDLL) and hasattr(loaded, "quantiser_map")
    return cast(ctypes.CDLL, loaded) if usable else None


def _memory(array: NDArray[Any]) -> ctypes.c_void_p:
    """Return the address of an array, which the caller holds until the call is over."""
    return ctypes.c_void_p(array.ctypes.data)


# Images of at most 256 colours, with alpha: exact where they have no more.
MAX_COLOURS = 256


def exactly_indexed(frames: Sequence[Image.Image]) -> list[Image.Image] | None:
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
