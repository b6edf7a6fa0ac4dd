"""Colours that a code, or gamma and primaries, describe look as they should without them."""

import math
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from imgcompress.errors import IMAGE_ERRORS, ImageError
from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.colours import BT2020, DISPLAY_P3, HLG, PQ, SRGB, to_xyz
from imgcompress.imaging.containers.avif import colour_code, sequence_headers
from imgcompress.imaging.containers.png import IEND, SIGNATURE

from tests.support.images import animated, cutout, encoded, frames, opened, photo, srgb_profile
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


def with_coded_colours(data, primaries, transfer):
    """Return an AVIF of sRGB whose first AV1 sequence header names these colours instead."""
    at = data.index(b"mdat") + 4
    length = 8 * (len(data) - at)
    bits = f"{int.from_bytes(data[at:], 'big'):0{length}b}"
    named = "".join(f"{one:08b}" for one in (1, 13, 6))
    assert named in bits
    bits = bits.replace(named, f"{primaries:08b}{transfer:08b}{6:08b}", 1)
    return data[:at] + int(bits, 2).to_bytes(length // 8, "big")


def without_box(data):
    """Return an AVIF without boxes for its colours."""
    return data.replace(b"colr", b"free")


def levels(image):
    return np.asarray(image.convert("RGBA"), dtype=float)


CODED = {
    "Display P3": ("RGB", {}, (12, 13)),
    "BT.2020 with PQ": ("RGB", {}, (9, PQ)),
    "BT.2020 with HLG, without subsampling": ("RGB", {"subsampling": "4:4:4"}, (9, HLG)),
    "Display P3 with alpha": ("RGBA", {}, (12, 13)),
    "PQ in greyscale": ("L", {}, (9, PQ)),
}


@pytest.mark.parametrize("name", CODED)
def test_a_code_only_in_the_bitstream_is_converted_like_one_in_a_box(name):
    mode, settings, named = CODED[name]
    image = cutout() if mode == "RGBA" else photo().convert(mode)
    data = encoded(image, "AVIF", quality=95, speed=9, **settings)
    options = CompressOptions(quality=95, format="png")
    plain = opened(compress(data, options).data).convert("RGBA")
    boxed = opened(compress(with_code(data, *named), options).data).convert("RGBA")
    coded = without_box(with_coded_colours(data, *named))
    found = opened(compress(coded, options).data).convert("RGBA")
    assert np.abs(levels(found) - levels(boxed)).max() <= 1
    assert np.abs(levels(found) - levels(plain)).mean() > 1.5


@pytest.mark.parametrize("box", [(1, 13), (2, 2)])
def test_a_box_goes_before_the_bitstream(box):
    data = with_code(encoded(photo(), "AVIF", quality=60, speed=9), *box)
    options = CompressOptions(1, quality=60)
    assert compress(with_coded_colours(data, 9, PQ), options).data == compress(data, options).data


def test_an_animation_without_items_has_the_colours_of_its_first_frame():
    data = animated("AVIF", frames(3, 64, 48), duration=20)
    coded = without_box(with_coded_colours(data, 12, 13)).replace(b"avifavis", b"nonsavis", 1)
    options = CompressOptions(format="webp", quality=90)
    expected = opened(compress(with_code(data, 12, 13), options).data)
    found = opened(compress(coded.replace(b"meta", b"free", 1), options).data)
    assert found.n_frames == 3
    assert np.abs(levels(found) - levels(expected)).mean() < 1
    plain = opened(compress(data, options).data)
    assert np.abs(levels(found) - levels(plain)).mean() > 3


def box(kind, *contents):
    body = b"".join(contents)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def avif_items(main, tiles, streams, coloured=None):
    """Return the boxes of a file: item 1 is a picture of these tiles, the streams items from 2 on.

    `coloured` is the item that has a `colr` of Display P3.
    """
    kinds = {1: b"grid"} | {2 + number: b"av01" for number in range(len(streams))}
    entries = [
        box(b"infe", b"\x02\0\0\0", struct.pack(">HH", item, 0), kind, b"\0")
        for item, kind in kinds.items()
    ]
    colour = box(b"colr", b"nclx", struct.pack(">3HB", 12, 13, 6, 128))
    owned = struct.pack(">IHBB", 1, coloured, 1, 1) if coloured else bytes(4)
    places, at = b"", 0
    for number, stream in enumerate(streams):
        places += struct.pack(">4HII", 2 + number, 1, 0, 1, at, len(stream))
        at += len(stream)
    return box(
        b"meta",
        bytes(4),
        box(b"pitm", bytes(4), struct.pack(">H", main)),
        box(b"iinf", bytes(4), struct.pack(">H", len(entries)), *entries),
        box(
            b"iref", bytes(4), box(b"dimg", struct.pack(f">HH{len(tiles)}H", 1, len(tiles), *tiles))
        ),
        box(b"iprp", box(b"ipco", colour), box(b"ipma", bytes(4), owned)),
        box(b"iloc", b"\x01\0\0\0", struct.pack(">HH", 0x4400, len(streams)), places),
        box(b"idat", *streams),
    )


def test_a_picture_of_tiles_has_the_colours_of_its_first_tile():
    streams = [
        unit_of(sequence_header(*HEADERS["reduced"], colours=(9, n, 9))) for n in (1, 16, 18)
    ]
    assert colour_code(avif_items(1, [3, 4], streams)) == (9, 16)
    assert colour_code(avif_items(2, [3, 4], streams)) == (9, 1)
    assert colour_code(avif_items(1, [3, 4], streams, coloured=1)) == (12, 13)
    assert colour_code(avif_items(1, [], streams)) is None
    assert colour_code(avif_items(9, [3, 4], streams)) is None


def test_an_avif_without_codes_anywhere_is_srgb():
    data = encoded(photo(), "AVIF", quality=60, speed=9)
    options = CompressOptions(1, quality=60)
    unknown = without_box(with_coded_colours(data, 2, 2))
    assert compress(unknown, options).data == compress(data, options).data


def sequence_header(*choices, profile=0, colours=(12, 16, 6), deep=0, twelve=0, grey=0):
    """Return the bits of a sequence header of 64 x 48 (AV1, sections 5.5.1 and 5.5.2).

    `choices` are the bits between its still_picture and its size, and between that and its tools.
    """
    before, after = choices
    size = f"{5:04b}{5:04b}{63:06b}{47:06b}"
    depth = f"{deep}{twelve if profile == 2 and deep else ''}{'' if profile == 1 else grey}"
    named = "1" + "".join(f"{one:08b}" for one in colours) if colours else "0"
    return f"{profile:03b}0{before}{size}{after}{'101'}{depth}{named}"


def unit_of(bits):
    """Return a unit of the bitstream that has this sequence header."""
    size = -(-len(bits) // 8)
    return bytes([1 << 3 | 2, size]) + int(bits.ljust(8 * size, "0") or "0", 2).to_bytes(
        size, "big"
    )


# The bits of operating points, of one of them, and of the tools: each way that the header forks.
POINTS = "000" + f"{0:05b}" + f"{0:012b}" + f"{5:05b}"
TIMED = "01" + 64 * "1" + "1001011" + f"{3:05b}" + 42 * "1" + "1" + f"{1:05b}"
TIMED += 2 * (f"{1:012b}" + f"{9:05b}11" + 9 * "1" + "11010")
HEADERS = {
    "reduced": ("1" + f"{5:05b}", "111"),
    "no order of frames": (POINTS, "01111111011"),
    "an order of frames": (POINTS, "01111111111101110"),
    "numbered frames": (POINTS, "111111111010000000"),
    "tools forced on": (POINTS, "00101010101011111"),
    "two points with timing": (TIMED, "0010101000101"),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("profile, deep, twelve, grey", [(0, 1, 0, 1), (1, 1, 0, 0), (2, 1, 1, 0)])
def test_the_colours_are_found_behind_any_sequence_header(name, profile, deep, twelve, grey):
    fields = {"profile": profile, "deep": deep, "twelve": twelve, "grey": grey}
    for colours in (None, (12, 16, 6), (9, 18, 9)):
        bits = sequence_header(*HEADERS[name], colours=colours, **fields)
        expected = (64, 48, colours[:2] if colours else None)
        assert list(sequence_headers(unit_of(bits))) == [expected]


@pytest.mark.parametrize("name", HEADERS)
def test_a_sequence_header_that_ends_early_is_an_error(name, raises):
    bits = sequence_header(*HEADERS[name])
    for size in range((len(bits) - 8) // 8):
        with raises("truncated_image"):
            list(sequence_headers(unit_of(bits[: 8 * size])))


@pytest.mark.parametrize("at", range(2, 14))
@pytest.mark.parametrize("value", [0, 0xFF])
def test_damage_in_the_header_of_an_avif_is_an_image_or_an_error(at, value):
    data = without_box(encoded(photo(48, 32), "AVIF", speed=10))
    place = data.index(b"mdat") + 4 + at
    try:
        result = compress(data[:place] + bytes([value]) + data[place + 1 :], CompressOptions())
    except ImageError as error:
        assert error.code in IMAGE_ERRORS and error.code != "internal_error"
    else:
        assert opened(result.data).size == (48, 32)


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
