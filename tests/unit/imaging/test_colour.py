"""Colour profiles: what the eye sees stays the same when the profile is gone."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.decode import conversion, to_srgb

from tests.support.images import difference, encoded, opened, photo, srgb_profile

# CIE XYZ (D50) of the primaries; from the specifications of the two colour spaces.
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
ADOBE_RGB = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))


def _tag_xyz(x, y, z):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in (x, y, z)))


def matrix_profile(primaries, gamma=2.2):
    """Return an ICC v2 profile of three primaries and one gamma."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = [(b"desc", text), (b"wtpt", _tag_xyz(0.9642, 1.0, 0.8249))]
    tags += [(name, _tag_xyz(*xyz)) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries)]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags:
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(content))
        body += content
    header = struct.pack(
        ">I4sI4s4s4s",
        132 + 12 * len(tags) + len(body),
        b"lcms",
        0x02400000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
    )
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def seen(image, profile):
    """Return what a colour-managed viewer shows."""
    return ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_wide_profile_is_converted_and_dropped(format, primaries, way):
    profile = matrix_profile(primaries)
    settings = {
        "JPEG": {"quality": 95},
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 95, "speed": 9},
    }.get(format, {})
    data = encoded(photo(), format, icc_profile=profile, **settings)
    shown = opened(compress(data, CompressOptions()).data)
    if format == "JPEG" and way == "engine":
        # Its pixels are not looked at, so that the profile is kept.
        assert shown.info["icc_profile"] == profile
        shown = seen(shown, profile)
    else:
        assert "icc_profile" not in shown.info
    assert difference(shown, seen(photo(), profile)) < 6
    assert difference(seen(photo(), profile), photo()) > 2


def test_an_srgb_profile_is_dropped_and_changes_nothing():
    assert conversion(srgb_profile(), "RGB") is None
    data = encoded(photo(), "PNG", icc_profile=srgb_profile(), compress_level=0)
    result = compress(data, CompressOptions(compression_percentage=1))
    assert "icc_profile" not in opened(result.data).info
    assert difference(opened(result.data), photo()) == 0


@pytest.mark.parametrize("profile", [b"no profile", srgb_profile()[:200], bytes(5 << 20)])
def test_a_broken_profile_is_ignored(profile):
    assert to_srgb(photo(), profile) is photo()


def test_a_profile_of_another_colour_space_is_ignored():
    grey = photo().convert("L")
    assert to_srgb(grey, srgb_profile()) is grey


def test_alpha_is_not_touched_by_a_profile():
    image = photo().convert("RGBA")
    image.putalpha(77)
    converted = to_srgb(image, matrix_profile(ADOBE_RGB))
    assert converted.getchannel("A").getextrema() == (77, 77)


def test_a_low_file_with_a_wide_profile_is_not_passed_on_with_wrong_colours():
    profile = matrix_profile(ADOBE_RGB)
    data = encoded(photo(600, 400), "JPEG", quality=15, icc_profile=profile)
    result = compress(data, CompressOptions())
    assert len(result.data) <= len(data)
    shown = opened(result.data)
    if "icc_profile" in shown.info:
        shown = seen(shown, shown.info["icc_profile"])
    assert difference(shown, seen(opened(data), profile)) < 4


def test_cmyk_without_a_profile_is_converted_as_browsers_do():
    data = encoded(photo().convert("CMYK"), "JPEG", quality=95)
    result = compress(data, CompressOptions())
    assert opened(result.data).mode == "RGB"
    assert difference(opened(result.data), photo()) < 4


def test_the_score_is_that_of_the_converted_colours():
    data = encoded(photo(600, 400), "JPEG", quality=95, icc_profile=matrix_profile(ADOBE_RGB))
    result = compress(data, CompressOptions())
    assert 50 < result.score <= 100


def test_grey_ramps_survive_a_grey_image():
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (64, 1)))
    shown = opened(compress(encoded(ramp, "PNG"), CompressOptions()).data)
    assert difference(shown, ramp) < 4
