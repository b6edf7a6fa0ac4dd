"""Nothing but pixels is ever passed on."""

import io
import struct
import zipfile

import pytest
from PIL import Image, PngImagePlugin

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.containers import strip_metadata

from tests.support.images import (
    animated,
    difference,
    drawing,
    encoded,
    frames,
    opened,
    photo,
    srgb_profile,
)

SCRIPT = b"<script>alert(1)</script>"
SHELL = b"<?php system($_GET['c']); ?>"
FORBIDDEN = (b"<script", b"<?php", b"PK\x03\x04", b"Exif", b"xmpmeta", b"GPS", b"secret")


def exif():
    tags = Image.Exif()
    tags[0x010E] = "secret"
    tags.get_ifd(0x8825)[1] = "N"
    return tags.tobytes()


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("secret.txt", SHELL)
    return file.getvalue()


def png_info():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", (SCRIPT + SHELL + b"secret").decode())
    return info


XMP = b"<x:xmpmeta>secret" + SCRIPT + b"</x:xmpmeta>"
LOW = {"quality": 10}
LOADED = {
    "JPEG": encoded(photo(), "JPEG", exif=exif(), comment=SCRIPT + SHELL, xmp=XMP, **LOW),
    "PNG": encoded(
        drawing().quantize(8),
        "PNG",
        pnginfo=png_info(),
        exif=exif(),
        icc_profile=srgb_profile(),
        optimize=True,
    ),
    "WEBP": encoded(photo(), "WEBP", exif=exif(), xmp=XMP, icc_profile=srgb_profile(), **LOW),
    "GIF": encoded(drawing().quantize(8), "GIF", comment=SCRIPT + SHELL + b"secret"),
    "AVIF": encoded(photo(), "AVIF", exif=exif(), xmp=XMP, speed=9, **LOW),
    "APNG": animated("PNG", frames(), duration=50, loop=0),
    "WebP, animated": animated("WEBP", frames(), duration=50, xmp=XMP, exif=exif(), **LOW),
    "GIF, animated": animated("GIF", frames(), duration=50, loop=2, comment=SCRIPT),
}


@pytest.mark.parametrize("name", LOADED)
@pytest.mark.parametrize(
    "options",
    [
        CompressOptions(),
        CompressOptions(quality=95),
        CompressOptions(compression_percentage=1),
        CompressOptions(max_width=50),
    ],
    ids=["half", "fixed", "one per cent", "resized"],
)
def test_metadata_and_payloads_never_get_through(name, options):
    data = LOADED[name] + archive() + SCRIPT
    result = compress(data, options)
    assert len(result.data) <= len(data)
    assert not [word for word in FORBIDDEN if word in result.data]
    assert not opened(result.data).getexif()


@pytest.mark.parametrize(
    "name", ["JPEG", "PNG", "WEBP", "GIF", "APNG", "WebP, animated", "GIF, animated"]
)
def test_a_rewrapped_file_shows_the_same(name):
    format = opened(LOADED[name]).format.lower()
    before, after = opened(LOADED[name]), opened(strip_metadata(LOADED[name], format))
    assert after.n_frames == before.n_frames if hasattr(before, "n_frames") else True
    assert after.info.get("loop") == before.info.get("loop")
    assert after.info.get("duration") == before.info.get("duration")
    assert difference(after, before) == 0


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "settings", [{}, {"progressive": True}, {"restart_marker_rows": 2}, {"keep_rgb": True}]
)
def test_a_rewrapped_jpeg_has_the_colours_of_before(mode, settings):
    data = encoded(photo().convert(mode), "JPEG", quality=30, **settings)
    assert difference(opened(strip_metadata(data, "jpeg")), opened(data)) == 0


def test_an_avif_with_metadata_is_not_rewrapped():
    assert strip_metadata(LOADED["AVIF"], "avif") is None
    assert strip_metadata(LOADED["AVIF"], "tiff") is None


def test_pixels_that_spell_a_payload_are_not_rewrapped():
    data = encoded(photo().quantize(64), "PNG")
    at = data.index(b"PLTE")
    colours = data[: at + 4] + SHELL[:24] + data[at + 28 :]
    assert strip_metadata(data, "png") is not None
    assert strip_metadata(colours, "png") is None


def test_a_second_image_in_the_file_stays_behind():
    hidden = encoded(drawing(), "JPEG", comment=b"secret")
    data = encoded(photo(), "JPEG", quality=10)
    result = compress(data + hidden, CompressOptions())
    assert len(result.data) <= len(data)
    assert result.data.count(b"\xff\xd9") == 1


def test_the_gap_after_a_gif_stays_behind():
    data = encoded(drawing().quantize(4), "GIF")
    private = b"!\xff\x0bSECRETAPP01" + bytes([len(SCRIPT)]) + SCRIPT + b"\0"
    header = 13 + (3 << (data[10] & 7) + 1)
    result = compress(data[:header] + private + data[header:], CompressOptions())
    assert b"SECRET" not in result.data
    assert difference(opened(result.data), opened(data)) == 0


def test_padding_of_a_webp_is_fresh():
    data = encoded(drawing(), "WEBP", lossless=True)
    size = struct.unpack_from("<I", data, 4)[0]
    loaded = data[:4] + struct.pack("<I", size + 14) + data[8:] + b"JUNK\x06\0\0\0secret"
    assert b"secret" not in strip_metadata(loaded, "webp")
    assert difference(opened(strip_metadata(loaded, "webp")), drawing()) == 0
