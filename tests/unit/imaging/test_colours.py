"""Colours that a code, or gamma and primaries, describe look as they should without them."""

import math
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.colours import BT2020, DISPLAY_P3, HLG, PQ, SRGB, to_xyz
from imgcompress.imaging.containers.png import IEND, SIGNATURE

from tests.support.images import encoded, opened, photo, srgb_profile
from tests.support.tricks import png_chunk

# From linear light of these primaries to that of sRGB: Display P3 (SMPTE EG 432-1, D65), and
# BT.2020 (ITU-R BT.2087-0, the inverse of its matrix).
TO_SRGB = {
    1: ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    12: ((1.2249, -0.2247, 0), (-0.0420, 1.0419, 0), (-0.0197, -0.0786, 1.0979)),
    9: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
}
P3_POINTS = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def swatch():
    """Return 216 colours, few enough to be stored as they are."""
    levels = range(0, 256, 51)
    image = Image.new("RGB", (216, 8))
    image.putdata([(r, g, b) for r in levels for g in levels for b in levels] * 8)
    return image


def with_chunks(data, *chunks):
    """Return a PNG with these chunks behind its header."""
    return data[:33] + b"".join(png_chunk(kind, body) for kind, body in chunks) + data[33:]


def code(primaries, transfer):
    return b"cICP", bytes([primaries, transfer, 0, 1])


def gamma(value, points=P3_POINTS):
    return (b"gAMA", struct.pack(">I", value)), (b"cHRM", struct.pack(">8I", *points))


def stored(data):
    """Return the colours of the swatch as they are stored, all rows of which are alike."""
    shown = opened(compress(data, CompressOptions(1)).data)
    assert not {"icc_profile", "gamma", "chromaticity"} & shown.info.keys()
    return np.asarray(shown.convert("RGB"))[0].astype(int)


def levels_of(light):
    """Return linear light as levels of sRGB (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def light_of(levels):
    share = levels / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def pixels():
    return np.asarray(swatch())[0].astype(float)


@pytest.mark.parametrize("primaries", [1, 9, 12])
@pytest.mark.parametrize("transfer", [1, 4, 8, 13])
def test_a_code_is_converted_as_the_standards_say(primaries, transfer):
    exponent = {4: 2.2, 8: 1.0}.get(transfer)
    light = light_of(pixels()) if exponent is None else (pixels() / 255) ** exponent
    expected = levels_of(light @ np.array(TO_SRGB[primaries]).T)
    found = stored(
        with_chunks(encoded(swatch(), "PNG", compress_level=0), code(primaries, transfer))
    )
    assert np.abs(found - expected).max() < 2.1
    assert np.abs(found - expected).mean() < 0.5


@pytest.mark.parametrize("points", [SRGB, DISPLAY_P3, BT2020])
def test_white_stays_white(points):
    x, y = points.white
    assert to_xyz(points) @ np.ones(3) == pytest.approx([x / y, 1, (1 - x - y) / y])


def test_the_gamma_and_the_primaries_of_a_png_are_converted():
    expected = levels_of((pixels() / 255) ** 1.8 @ np.array(TO_SRGB[12]).T)
    found = stored(with_chunks(encoded(swatch(), "PNG", compress_level=0), *gamma(55556)))
    assert np.abs(found - expected).max() < 2.1


def scene_light(signal):
    """Return HLG's light of the scene (BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return signal**2 / 3 if signal <= 0.5 else (math.exp((signal - c) / a) + b) / 12


def nits(signal, transfer):
    """Return the light of each primary that a display shows, in cd/m2 (BT.2100, tables 4 and 5)."""
    if transfer == PQ:
        powers = [one ** (1 / 78.84375) for one in signal]
        bases = [max(one - 0.8359375, 0) / (18.8515625 - 18.6875 * one) for one in powers]
        return [10_000 * base ** (1 / 0.1593017578125) for base in bases]
    scene = [scene_light(one) for one in signal]
    luminance = 0.2627 * scene[0] + 0.6780 * scene[1] + 0.0593 * scene[2]
    return [1000 * luminance**0.2 * one for one in scene]


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("primaries", [1, 9, 12])
def test_high_range_is_mapped_with_203_nits_as_white(transfer, primaries):
    light = np.array([nits(colour / 255, transfer) for colour in pixels()]) / 203
    light = np.maximum(light @ np.array(TO_SRGB[primaries]).T, 0)
    expected = levels_of(light / np.maximum(1, light.max(axis=1))[:, None])
    found = stored(
        with_chunks(encoded(swatch(), "PNG", compress_level=0), code(primaries, transfer))
    )
    assert np.abs(found - expected).max() < 2.1


@pytest.mark.parametrize("transfer, signal", [(PQ, 0.5807), (HLG, 0.75)])
def test_the_white_of_graphics_becomes_white_and_half_of_it_middle_grey(transfer, signal):
    """BT.2408, table 1: HDR reference white is 58 % of PQ and 75 % of HLG."""
    grey = Image.new("L", (16, 16), round(255 * signal))
    shown = opened(
        compress(with_chunks(encoded(grey, "PNG"), code(9, transfer)), CompressOptions(1)).data
    )
    assert shown.mode in ("L", "P")
    assert shown.convert("L").getpixel((0, 0)) >= 253


def test_alpha_is_not_touched_by_high_range():
    image = swatch().convert("RGBA")
    image.putalpha(77)
    data = with_chunks(encoded(image, "PNG", compress_level=0), code(9, PQ))
    shown = opened(compress(data, CompressOptions(1)).data).convert("RGBA")
    assert shown.getchannel("A").getextrema() == (77, 77)


P3_CODE = code(12, 13)
SAME = {
    "a code that says sRGB before a profile": [code(1, 13), *gamma(55556)],
    "a code that is not specified": [code(2, 2)],
    "sRGB before gamma": [(b"sRGB", b"\0"), *gamma(55556)],
    "a gamma alone": [gamma(55556)[0]],
    "the gamma and primaries of sRGB": gamma(45455, SRGB_POINTS),
    "primaries on one line": gamma(55556, (31270, 32900) + (30000, 30000) * 3),
    "primaries of nothing": gamma(55556, (0,) * 8),
    "a gamma of nothing": gamma(0),
    "a code that is too short": [(b"cICP", b"\x0c\x0d")],
}


@pytest.mark.parametrize("name", SAME)
def test_colours_stay_as_they_are_with(name):
    data = with_chunks(encoded(swatch(), "PNG", compress_level=0), *SAME[name])
    assert (stored(data) == pixels()).all()


def test_a_code_goes_before_a_profile_and_a_profile_before_gamma():
    data = encoded(swatch(), "PNG", compress_level=0, icc_profile=srgb_profile())
    assert (stored(with_chunks(data, *gamma(55556))) == pixels()).all()
    expected = stored(with_chunks(encoded(swatch(), "PNG", compress_level=0), P3_CODE))
    assert (stored(with_chunks(data, P3_CODE)) == expected).all()
    assert np.abs(expected - pixels()).max() > 20


def test_a_damaged_code_is_ignored():
    data = bytearray(with_chunks(encoded(swatch(), "PNG", compress_level=0), P3_CODE))
    data[data.index(b"cICP") + 4] = 9
    assert (stored(bytes(data)) == pixels()).all()


def with_code(data, primaries, transfer):
    """Return an AVIF or HEIC whose code for colours says this."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


@pytest.mark.parametrize("primaries, transfer", [(12, 13), (9, 13), (9, PQ)])
def test_the_code_of_an_avif_is_converted(primaries, transfer):
    data = encoded(photo(), "AVIF", quality=95, speed=9)
    source = np.asarray(opened(data), dtype=float)
    shares = source.reshape(-1, 3) / 255
    if transfer == PQ:
        light = np.array([nits(share, PQ) for share in shares[::97]]) / 203
    else:
        light = light_of(255 * shares[::97])
    light = np.maximum(light @ np.array(TO_SRGB[primaries]).T, 0)
    expected = levels_of(
        light / np.maximum(1, light.max(axis=1))[:, None] if transfer == PQ else light
    )
    options = CompressOptions(quality=95, format="jpeg")
    found = np.asarray(opened(compress(with_code(data, primaries, transfer), options).data))
    assert np.abs(found.reshape(-1, 3)[::97] - expected).mean() < 4
    assert np.abs(source.reshape(-1, 3)[::97] - expected).mean() > 5


def test_an_avif_of_srgb_keeps_its_colours():
    data = encoded(photo(), "AVIF", quality=60, speed=9)
    made = compress(with_code(data, 1, 13), CompressOptions(1, quality=60))
    expected = compress(with_code(data, 2, 2), CompressOptions(1, quality=60))
    assert made.data == expected.data


def test_a_png_that_conversion_makes_larger_keeps_its_own_colours():
    y, x = np.mgrid[0:256, 0:256].astype(np.uint8)
    rows = np.dstack((x, y, 255 - x, 255 - y))
    steps = np.diff(rows, axis=1, prepend=np.zeros((256, 1, 4), dtype=np.uint8))
    packed = zlib.compress(b"".join(b"\1" + row.tobytes() for row in steps), 9)
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 256, 256, 8, 6, 0, 0, 0))
    data = SIGNATURE + header + png_chunk(b"IDAT", packed) + IEND
    assert (np.asarray(opened(data)) == rows).all()
    data = with_chunks(data, *gamma(100_000), (b"tEXt", b"Author\0someone"))
    result = compress(data, CompressOptions())
    assert result.outcome == "already_small"
    shown = opened(result.data)
    assert shown.info == {"gamma": 1.0, "chromaticity": tuple(n / 100_000 for n in P3_POINTS)}
    assert (np.asarray(shown) == rows).all()
