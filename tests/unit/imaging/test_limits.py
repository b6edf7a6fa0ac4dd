"""Limits are checked before anything is decoded."""

import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image

from imgcompress.imaging import CompressOptions, compress

from tests.support.images import animated, encoded, photo


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(width, height, frames=0):
    rows = zlib.compress(bytes((width // 8 + 1) * 100), 9)
    animation = png_chunk(b"acTL", struct.pack(">II", frames, 0)) if frames else b""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + animation
        + png_chunk(b"IDAT", rows)
        + png_chunk(b"IEND", b"")
    )


def webp_bomb(width, height, frames):
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes([2, 0, 0, 0])
    canvas += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = canvas + (b"ANMF" + struct.pack("<I", 16) + bytes(16)) * frames
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def jpeg_bomb(width, height):
    data = bytearray(encoded(Image.new("L", (8, 8)), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_bomb():
    data = encoded(Image.new("P", (8, 8)), "GIF")
    return data[:6] + struct.pack("<HH", 60_000, 60_000) + data[10:]


def gif_with_far_frames():
    data = bytearray(animated("GIF", [Image.new("P", (8, 8)), Image.new("P", (8, 8), 1)]))
    at = data.rindex(b",\0\0\0\0")
    data[at + 1 : at + 9] = struct.pack("<HHHH", 30_000, 30_000, 30_000, 30_000)
    return bytes(data)


def tiff_bomb():
    data = bytearray(encoded(Image.new("1", (8, 8)), "TIFF"))
    for tag in (256, 257):
        at = data.index(struct.pack("<HHI", tag, 4, 1))
        data[at + 8 : at + 12] = struct.pack("<I", 40_000)
    return bytes(data)


def bmp_bomb():
    data = encoded(Image.new("1", (8, 8)), "BMP")
    return data[:18] + struct.pack("<ii", 40_000, 40_000) + data[26:]


BOMBS = {
    "PNG": png_bomb(30_000, 30_000),
    "APNG": png_bomb(5000, 5000, frames=5000),
    "WebP": webp_bomb(16_383, 16_383, frames=2),
    "JPEG": jpeg_bomb(60_000, 60_000),
    "GIF": gif_bomb(),
    "GIF frames": gif_with_far_frames(),
    "TIFF": tiff_bomb(),
    "BMP": bmp_bomb(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_decompression_bomb_is_rejected(name, raises):
    with raises("too_many_pixels", "pixels"):
        compress(BOMBS[name], CompressOptions())


@pytest.mark.one_way  # Its process has the engine, whichever way this one goes.
def test_a_bomb_takes_no_memory():
    script = """if True:
        import resource, sys
        from imgcompress.errors import ImageError
        from imgcompress.imaging import CompressOptions, compress
        from tests.support.images import encoded, photo
        from tests.unit.imaging.test_limits import BOMBS

        for format in ("JPEG", "PNG", "WEBP", "GIF"):
            compress(encoded(photo(), format), CompressOptions())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for data in BOMBS.values():
            try:
                compress(data, CompressOptions())
            except ImageError as error:
                assert error.code == "too_many_pixels"
            else:
                sys.exit("a bomb was accepted")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    grown = int(
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True
        ).stdout
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert grown * unit < 50 << 20


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_the_limit_of_pixels_is_exact(format, raises):
    data = encoded(photo(100, 60), format)
    with raises("too_many_pixels", "100 x 60 pixels"):
        compress(data, CompressOptions(max_pixels=5999))
    assert compress(data, CompressOptions(max_pixels=6000)).width == 100


def test_texts_and_profiles_of_a_png_are_not_unpacked():
    text = png_chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(1 << 20), 9))
    profile = png_chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(100 << 20), 9))
    data = encoded(photo(), "PNG")
    data = data[:33] + profile + text * 1000 + data[33:]
    assert compress(data, CompressOptions()).outcome == "target_met"


def test_a_jpeg_of_thousands_of_segments_is_rejected(raises):
    data = encoded(photo(), "JPEG")
    with raises("corrupt_image", "segments"):
        compress(data[:2] + b"\xff\xfe\0\2" * 100_000 + data[2:], CompressOptions())


def test_a_jpeg_of_thousands_of_scans_is_rejected(raises):
    data = encoded(photo(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    with raises("corrupt_image", "segments"):
        compress(data[:-2] + data[last:-2] * 1000 + data[-2:], CompressOptions())


def test_a_jpeg_with_a_large_profile_is_compressed():
    marker = b"".join(
        b"\xff\xe2\xff\xffICC_PROFILE\0" + bytes([number, 255]) + bytes(65519)
        for number in range(1, 256)
    )
    data = encoded(photo(), "JPEG", quality=90)
    result = compress(data[:2] + marker + data[2:], CompressOptions())
    assert len(result.data) <= len(data)
