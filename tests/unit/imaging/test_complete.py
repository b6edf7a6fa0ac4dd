"""A file that lacks nothing but its last marker, or has damage beside its pixels, is compressed."""

import io
import struct
import zlib

import pytest
from PIL import Image

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.containers import jpeg, png

from tests.support.images import (
    animated,
    bare,
    difference,
    drawing,
    encoded,
    frames,
    opened,
    photo,
    srgb_profile,
)

END_OF_JPEG = b"\xff\xd9"
JPEGS = {
    "baseline": encoded(photo(), "JPEG", quality=90),
    "progressive": encoded(photo(), "JPEG", quality=90, progressive=True),
    "grey": encoded(photo().convert("L"), "JPEG", quality=90),
    "CMYK": encoded(photo().convert("CMYK"), "JPEG", quality=90),
}


def shown(data):
    return opened(compress(data, CompressOptions(compression_percentage=20)).data)


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_may_lack_its_end_marker(name, raises):
    whole = JPEGS[name]
    assert whole.endswith(END_OF_JPEG)
    for ending in (b"", b"\xff"):
        assert difference(shown(whole[:-2] + ending), opened(whole)) < 7
    for missing in (3, 5, 9):
        with raises("truncated_image"):
            compress(whole[:-missing], CompressOptions())


def in_small_chunks(data, size=2000):
    """Return a PNG whose pixels are split into chunks of `size` bytes."""
    pixels = b"".join(
        data[chunk.start + 8 : chunk.end - 4] for chunk in png.chunks(data) if chunk.kind == b"IDAT"
    )
    header = next(data[chunk.start : chunk.end] for chunk in png.chunks(data))
    parts = [made(b"IDAT", pixels[start : start + size]) for start in range(0, len(pixels), size)]
    return png.SIGNATURE + header + b"".join(parts) + png.IEND


def made(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_a_png_may_lack_its_end(raises):
    whole = in_small_chunks(encoded(photo(), "PNG"))
    for ending in (b"", png.IEND[:3], png.IEND[:8], png.IEND[:11]):
        cut = shown(whole[: -len(png.IEND)] + ending)
        assert difference(cut, shown(whole)) < 1
    places = [chunk.start for chunk in png.chunks(whole) if chunk.kind == b"IDAT"]
    for place in (places[-1], places[-1] + 100, places[1]):
        with raises("truncated_image"):
            compress(whole[:place], CompressOptions())


def test_an_apng_without_its_end_still_needs_all_its_frames(raises):
    whole = animated("PNG", frames(), duration=50)
    last = [chunk.start for chunk in png.chunks(whole) if chunk.kind == b"fcTL"][-1]
    assert opened(compress(whole[: -len(png.IEND)], CompressOptions()).data).n_frames == 6
    with raises("truncated_image"):
        compress(whole[:last], CompressOptions(quality=50))


def with_wrong_checksum(data, kind):
    chunk = next(chunk for chunk in png.chunks(data) if chunk.kind == kind)
    broken = bytearray(data)
    broken[chunk.end - 1] ^= 0xFF
    return bytes(broken)


def test_a_damaged_chunk_beside_the_pixels_is_dropped(raises):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(), "PNG", icc_profile=srgb_profile(), exif=exif)
    assert shown(data).size == (160, 240)
    assert shown(with_wrong_checksum(data, b"eXIf")).size == (240, 160)
    assert difference(shown(with_wrong_checksum(data, b"iCCP")), shown(data)) < 1
    with raises("corrupt_image"):
        compress(with_wrong_checksum(data, b"IHDR"), CompressOptions(quality=50))


def test_a_damaged_transparency_is_dropped_from_a_copy_too():
    data = encoded(drawing().quantize(8), "PNG", transparency=0, optimize=True)
    copy = png.strip(with_wrong_checksum(data, b"tRNS"))
    assert bare(Image.open(io.BytesIO(copy))).has_transparency_data is False
    assert opened(copy).size == (200, 120)


def with_frame_header(data, marker, bits):
    """Return a JPEG that claims to be of another kind."""
    start = next(segment.start for segment in jpeg.segments(data) if segment.marker == 0xC0)
    return (
        data[: start + 1]
        + bytes([marker])
        + data[start + 2 : start + 4]
        + bytes([bits])
        + (data[start + 5 :])
    )


@pytest.mark.parametrize(
    "marker, bits, found",
    [
        (0xC3, 8, "a lossless JPEG"),
        (0xC3, 16, "a lossless JPEG"),
        (0xC1, 12, "a JPEG with 12 instead of 8 bits per sample"),
        (0xC2, 12, "a JPEG with 12 instead of 8 bits per sample"),
        (0xC5, 8, "a hierarchical JPEG"),
    ],
)
def test_an_unsupported_kind_of_jpeg_is_named(marker, bits, found, raises):
    with raises("unsupported_format", f"The image is {found}."):
        compress(with_frame_header(JPEGS["baseline"], marker, bits), CompressOptions())
