"""Colours that are described without an ICC profile.

AVIF, HEIC and PNG name them by code (CICP, ITU-T H.273); PNG may also give the gamma of its levels
(gAMA) and the chromaticities of its primaries (cHRM). Standard range becomes an ICC profile, which
is then converted like any other. High range, PQ or HLG (ITU-R BT.2100), is mapped here: 203 cd/m2,
the white of graphics (ITU-R BT.2408, 3.2), become the white of sRGB. What is brighter is
dimmed, without a change of hue.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Point = tuple[float, float]


class Primaries(NamedTuple):
    """The chromaticities x, y (CIE 1931) of white and of the three primaries."""

    white: Point
    red: Point
    green: Point
    blue: Point


class HighRange(NamedTuple):
    """Levels that reach beyond the white of sRGB; the transfer is PQ or HLG."""

    primaries: Primaries
    transfer: int


_D65 = (0.3127, 0.3290)
SRGB = Primaries(_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = Primaries(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
BT2020 = Primaries(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
# H.273, table 2. XYZ and film, which no camera and no shop writes, are left out.
PRIMARIES = {
    1: SRGB,
    4: Primaries((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: Primaries(_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: Primaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: BT2020,
    11: Primaries((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: DISPLAY_P3,
    22: Primaries(_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_UNSPECIFIED = 2
PQ, HLG = 16, 18
# H.273, table 3: gamma 2.2, gamma 2.8, linear, and DCI's 2.6. All others of standard range are
# shown as sRGB: those of cameras (BT.709, BT.2020) say how light was coded, not how it is shown.
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
WHITE = 203.0
_HLG_PEAK = 1000.0
_PIXELS_AT_ONCE = 1_000_000
# Primaries that span less are on one line.
_FLAT = 1e-9

# Type 3 of ICC's parametric curves: ((x + 0.055) / 1.055)^2.4, and x / 12.92 up to 0.04045.
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
# The PNG specification's values for sRGB (section 11.3.2), for decoders that know no sRGB chunk.
_SRGB_GAMMA = 2.2
_SAME_GAMMA, _SAME_POINT = 0.03, 0.002

# White of ICC's connection space, and Bradford's cone responses (ICC.1:2010, annex E).
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def from_cicp(primaries: int, transfer: int) -> bytes | HighRange | None:
    """Return an ICC profile, empty for sRGB, or the high range; None where nothing is specified."""
    if (primaries, transfer) == (_UNSPECIFIED, _UNSPECIFIED):
        return None
    points = PRIMARIES.get(primaries, SRGB)
    if transfer in (PQ, HLG):
        return HighRange(points, transfer)
    gamma = _GAMMAS.get(transfer)
    if points == SRGB and gamma is None:
        return b""
    return _profile(points, gamma)


def from_gamma(gamma: float, primaries: Primaries) -> bytes:
    """Return an ICC profile, empty where these are the values that stand for sRGB.

    `gamma` is the exponent from levels to light, the reciprocal of what gAMA says.
    """
    far = max(abs(one - other) for pair in zip(primaries, SRGB) for one, other in zip(*pair))
    if abs(gamma - _SRGB_GAMMA) < _SAME_GAMMA and far < _SAME_POINT:
        return b""
    return _profile(primaries, gamma)


def _profile(primaries: Primaries, gamma: float | None) -> bytes:
    """Return an ICC profile of a matrix and one curve, with no gamma that of sRGB."""
    parameters = _SRGB_CURVE if gamma is None else (gamma,)
    curve = b"para" + struct.pack(">I2H", 0, 3 if gamma is None else 0, 0)
    curve += b"".join(_fixed(number) for number in parameters)
    text = "colours".encode("utf-16-be")
    named = b"mluc" + struct.pack(">3I4s2I", 0, 1, 12, b"enUS", len(text), 28) + text
    adapted = _applied(_to_d50(primaries.white), to_xyz(primaries))
    columns = [b"XYZ \0\0\0\0" + b"".join(map(_fixed, column)) for column in adapted.T]
    white = b"XYZ \0\0\0\0" + b"".join(map(_fixed, _D50))
    names = (b"desc", b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    table, body = struct.pack(">I", len(names)), b""
    for name, content in zip(names, (named, white, *columns, curve, curve, curve)):
        place = 128 + 4 + 12 * len(names) + len(body)
        table += name + struct.pack(">2I", place, len(content))
        body += content + bytes(-len(content) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4xI4s4s4s12x4s", size, 0x04000000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return head.ljust(68, b"\0") + b"".join(map(_fixed, _D50)).ljust(60, b"\0") + table + body


def _fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 65536))


def to_xyz(primaries: Primaries) -> NDArray[Any]:
    """Return the matrix from linear light of these primaries to CIE XYZ, where white has Y = 1.

    Raise ValueError where they do not span a triangle.
    """
    columns = np.array([_xyz(point) for point in primaries[1:]]).T
    matrix: NDArray[Any] = columns * _applied(_inverse(columns), _xyz(primaries.white))
    return matrix


# Not matrix products: where memory is short, OpenBLAS ends the process.
def _applied(matrix: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    product: NDArray[Any] = np.einsum("ij,j...->i...", matrix, other)
    return product


def _inverse(matrix: NDArray[Any]) -> NDArray[Any]:
    one, two, three = matrix
    columns = np.array([np.cross(two, three), np.cross(three, one), np.cross(one, two)]).T
    volume = float((one * columns[:, 0]).sum())
    if abs(volume) < _FLAT:
        raise ValueError("The primaries are on one line.")
    inverse: NDArray[Any] = columns / volume
    return inverse


def _xyz(point: Point) -> NDArray[Any]:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _to_d50(white: Point) -> NDArray[Any]:
    """Return the matrix that adapts XYZ from this white to D50."""
    scale = _applied(_BRADFORD, _D50) / _applied(_BRADFORD, _xyz(white))
    return _applied(_inverse(_BRADFORD), scale[:, None] * _BRADFORD)


def tone_mapped(image: Image.Image, colours: HighRange) -> Image.Image:
    """Return an image of high range (mode L, LA, RGB or RGBA) in sRGB, its alpha unchanged."""
    if image.mode in ("LA", "RGBA"):
        mapped = tone_mapped(image.convert(image.mode[:-1]), colours)
        mapped.putalpha(image.getchannel("A"))
        return mapped
    matrix = _applied(_inverse(to_xyz(SRGB)), to_xyz(colours.primaries)).astype(np.float32)
    light = _light(colours.transfer)
    result = Image.new("RGB", image.size)
    rows = max(1, _PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(image.height, top + rows))
        linear = light[np.asarray(image.crop(box).convert("RGB"))]
        if colours.transfer == HLG:
            linear = _shown_hlg(linear)
        linear = np.maximum(np.einsum("ij,yxj->yxi", matrix, linear), 0)
        linear /= np.maximum(1, linear.max(axis=2, keepdims=True))
        result.paste(Image.fromarray(_levels(linear)), box)
    return result.convert(image.mode)


def _light(transfer: int) -> NDArray[Any]:
    """Return the light of each level, 0 to 255, where 1 is WHITE; for HLG, that of the scene."""
    signal = np.arange(256) / 255
    if transfer == PQ:
        # BT.2100, table 4.
        power = signal ** (1 / 78.84375)
        base = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        return (10_000 / WHITE * base ** (1 / 0.1593017578125)).astype(np.float32)
    # BT.2100, table 5.
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    low, high = signal**2 / 3, (np.exp((signal - c) / a) + b) / 12
    return np.where(signal <= 0.5, low, high).astype(np.float32)


def _shown_hlg(scene: NDArray[Any]) -> NDArray[Any]:
    """Return the light of a display with a peak of 1,000 cd/m2: the system gamma is 1.2."""
    luminance = np.einsum("yxj,j->yx", scene, np.array([0.2627, 0.678, 0.0593], dtype=np.float32))
    shown: NDArray[Any] = scene * (luminance[..., None] ** np.float32(0.2))
    return shown * np.float32(_HLG_PEAK / WHITE)


def _levels(linear: NDArray[Any]) -> NDArray[np.uint8]:
    """Return linear light of 0 to 1 as levels of sRGB (IEC 61966-2-1)."""
    steep = linear * 12.92
    curved = 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    levels: NDArray[np.uint8] = np.rint(255 * np.where(linear <= 0.0031308, steep, curved)).astype(
        np.uint8
    )
    return levels
