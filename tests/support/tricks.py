"""Small files that would cost a decoder much: narrow ones, ones that lie, ones without end.

Each trick is a function without arguments that makes the file; the benchmark of hostile images
tries all of them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from tests.support.images import animated, encoded

Make = Callable[[], bytes]


def zeros(size: int) -> bytes:
    """Return `size` zero bytes, compressed."""
    packer = zlib.compressobj(9)
    parts = []
    while size > 0:
        parts.append(packer.compress(bytes(min(size, 1 << 24))))
        size -= 1 << 24
    return b"".join([*parts, packer.flush()])


# --- PNG


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, colours: int = 0) -> bytes:
    """Return the header of a PNG of 8 bits: grey, or what else `colours` says."""
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0))


def png(
    width: int,
    height: int,
    *,
    before: bytes = b"",
    after: bytes = b"",
    image: Image.Image | None = None,
) -> bytes:
    """Return a black grey PNG, or one of this image, with chunks before its pixels and after."""
    header = png_header(width, height, 6 if image else 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + before
        + png_chunk(b"IDAT", png_pixels(width, height, image))
        + after
        + png_chunk(b"IEND", b"")
    )


def png_pixels(width: int, height: int, image: Image.Image | None) -> bytes:
    """Return the packed rows of an RGBA image, or of as much black."""
    if image is None:
        return zeros((width + 1) * height)
    rows = np.asarray(image).reshape(height, -1)
    # Each row as its difference from the one above: filter 2.
    rows = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    return zlib.compress(b"".join(b"\2" + row.tobytes() for row in rows), 9)


def colourful(side: int) -> Image.Image:
    """Return a square with very many colours, of which some are clear and some translucent."""
    y, x = np.mgrid[0:side, 0:side] * 255 // side
    return Image.fromarray(
        np.dstack((x, y, 255 - x, np.clip(2 * x + y - 255, 0, 255))).astype(np.uint8)
    )


def png_with_two_headers(width: int, height: int) -> bytes:
    """Return a PNG of 64 x 64 with a second header of this size."""
    return png(64, 64, before=png_header(width, height))


def apng(
    width: int,
    height: int,
    frames: int,
    announced: int | None = None,
    canvas: tuple[int, int] | None = None,
    image: Image.Image | None = None,
) -> bytes:
    """Return an animation of empty frames, or of this image; its header may have another number."""

    def control(number: int) -> bytes:
        return png_chunk(
            b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 100, 0, 0)
        )

    first = png_chunk(b"acTL", struct.pack(">II", announced or frames, 0)) + control(0)
    pixels = png_pixels(width, height, image)
    others = b"".join(
        control(2 * number - 1) + png_chunk(b"fdAT", struct.pack(">I", 2 * number) + pixels)
        for number in range(1, frames)
    )
    return png(*(canvas or (width, height)), before=first, after=others, image=image)


# --- GIF


def gif(width: int, height: int, frames: int, image: Image.Image | None = None) -> bytes:
    """Return an animation whose frames are all alike; frames of one colour take few bytes."""
    one = encoded(image or Image.new("P", (width, height)), "GIF", optimize=False)
    # With the block before each frame that says what is clear.
    start = one.find(b"!\xf9\x04")
    start = start if start > 0 else one.index(b",\0\0\0\0")
    return one[:start] + one[start:-1] * frames + b";"


def gif_of_changes(width: int, height: int, frames: int) -> bytes:
    """Return an animation of stripes, all of which change from each frame to the next."""
    levels = np.arange(width * height, dtype=np.uint32).reshape(height, width) // 61 % 97
    images = [Image.fromarray((levels + shift).astype(np.uint8)) for shift in (0, 31)]
    one, other = (encoded(image.convert("P"), "GIF", optimize=False) for image in images)
    start = one.index(b",\0\0\0\0")
    both = one[start:-1] + other[start:-1]
    return one[:start] + both * (frames // 2) + b";"


def gif_with_far_frame(width: int, height: int) -> bytes:
    """Return a GIF with a screen of 64 x 64 and a frame that ends far outside."""
    data = gif(64, 64, 2)
    at = data.rindex(b",\0\0\0\0")
    place = struct.pack("<HHHH", width - 64, height - 64, 64, 64)
    return data[: at + 1] + place + data[at + 9 :]


# --- WebP


def webp_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk with its length, padded."""
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webp_file(*chunks: bytes) -> bytes:
    """Return the chunks as a file."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_canvas(width: int, height: int, flags: int) -> bytes:
    """Return the chunk that says how large the canvas is."""
    return webp_chunk(
        b"VP8X",
        bytes([flags, 0, 0, 0])
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little"),
    )


def webp(
    width: int,
    height: int,
    frames: int,
    canvas: tuple[int, int] | None = None,
    image: Image.Image | None = None,
) -> bytes:
    """Return an animation of empty frames, or of this image; the canvas may be of another size."""
    pixels = encoded(image or Image.new("RGB", (width, height)), "WEBP", lossless=True)[12:]
    head = (
        bytes(6)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
        + (100).to_bytes(3, "little")
        + b"\0"
    )
    return webp_file(
        webp_canvas(*(canvas or (width, height)), 18 if image else 2),
        webp_chunk(b"ANIM", bytes(6)),
        webp_chunk(b"ANMF", head + pixels) * frames,
    )


def webp_larger_than_canvas(width: int, height: int) -> bytes:
    """Return a still image of this size on a canvas of 64 x 64."""
    pixels = encoded(Image.new("RGB", (width, height)), "WEBP", lossless=True)[12:]
    return webp_file(webp_canvas(64, 64, 0), pixels)


# --- TIFF


def tiff(
    width: int,
    height: int,
    *entries: tuple[int, int, int],
    pixels: bytes,
    compression: int = 8,
    pages: int = 1,
) -> bytes:
    """Return a grey TIFF; an entry is a tag, a type (3: 16 bits, 4: 32 bits) and a number."""
    described = {
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, compression),
        (262, 3, 1),
        (277, 3, 1),
        *entries,
    }
    begins = {
        (324 if any(tag == 322 for tag, _, _ in described) else 273, 4, 8),
        (325 if any(tag == 322 for tag, _, _ in described) else 279, 4, len(pixels)),
    }
    table = sorted(described | begins)
    each = 2 + 12 * len(table) + 4
    first = 8 + len(pixels)
    packed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in table)
    directories = b"".join(
        struct.pack("<H", len(table))
        + packed
        + struct.pack("<I", first + each * (page + 1) if page + 1 < pages else 0)
        for page in range(pages)
    )
    return b"II*\0" + struct.pack("<I", first) + pixels + directories


def tiff_with_large_tile(width: int, height: int, compression: int = 8) -> bytes:
    """Return a TIFF of 100 x 100 in one tile of this size, which holds little."""
    return tiff(
        100, 100, (322, 4, width), (323, 4, height), pixels=zeros(1 << 20), compression=compression
    )


def tiff_of_tiny_tiles(side: int) -> bytes:
    """Return a TIFF of which each pixel is a tile."""
    count, first = side * side, 8 + 12 * 9 + 6
    table = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (322, 4, 1, 1),
        (323, 4, 1, 1),
        (324, 4, count, first),
        (325, 4, count, first),
    ]
    return (
        b"II*\0"
        + struct.pack("<IH", 8, len(table))
        + b"".join(struct.pack("<HHII", *entry) for entry in table)
        + bytes(4)
        + struct.pack("<I", 8) * count
    )


def tiff_with_two_widths(width: int, height: int) -> bytes:
    """Return a TIFF that names its size twice, so that libtiff and Pillow go by different ones."""
    return tiff(64, 64, (256, 4, width), (257, 4, height), pixels=zeros(1 << 20))


# --- AVIF


def avif_that_lies(side: int) -> bytes:
    """Return an AVIF that calls itself 64 x 64, and whose picture has this side."""
    data = encoded(Image.new("L", (side, side)), "AVIF", speed=10)
    size = b"ispe" + bytes(4) + struct.pack(">II", side, side)
    assert size in data
    return data.replace(size, b"ispe" + bytes(4) + struct.pack(">II", 64, 64))


def avif_with_alpha_that_lies(side: int) -> bytes:
    """Return an AVIF of 64 x 64 of which only the alpha has this side: its bitstream is exchanged.

    libavif writes 14 bytes for each item into `iloc`; the last 8 are where it is and how long.
    """
    data = bytearray(encoded(Image.new("RGBA", (64, 64), (1, 2, 3, 4)), "AVIF", speed=10))
    grey = encoded(Image.new("L", (side, side)), "AVIF", speed=10)
    start, length = struct.unpack_from(">II", grey, grey.index(b"iloc") + 18)
    struct.pack_into(">II", data, data.index(b"iloc") + 18 + 14, len(data) + 8, length)
    return bytes(data) + struct.pack(">I4s", length + 8, b"mdat") + grey[start : start + length]


def avif_sequence(side: int, frames: int) -> bytes:
    """Return an animation of frames that are all alike."""
    still = Image.new("RGB", (side, side))
    return animated("AVIF", [still] * frames, speed=10, duration=20)


def avif_sequence_that_lies(side: int) -> bytes:
    """Return an animation that calls itself 64 x 64 wherever a container can."""
    data = avif_sequence(side, 2)
    for size, lie in (
        (struct.pack(">II", side, side), struct.pack(">II", 64, 64)),
        (struct.pack(">II", side << 16, side << 16), struct.pack(">II", 64 << 16, 64 << 16)),
        (
            struct.pack(">HHII", side, side, 0x480000, 0x480000),
            struct.pack(">HHII", 64, 64, 0x480000, 0x480000),
        ),
    ):
        data = data.replace(size, lie)
    return data


# --- JPEG and BMP


def jpeg_with_two_headers(width: int, height: int) -> bytes:
    """Return a JPEG of 8 x 8 behind a frame header of another size."""
    data = encoded(Image.new("L", (8, 8)), "JPEG", progressive=True)
    at = data.index(b"\xff\xc2")
    header = data[at : at + 13]
    return data[:at] + header[:5] + struct.pack(">HH", height, width) + header[9:] + data[at:]


def jpeg(width: int, height: int) -> bytes:
    """Return a black JPEG."""
    return encoded(Image.new("L", (width, height)), "JPEG")


def bmp(width: int, height: int) -> bytes:
    """Return a black BMP of one bit per pixel."""
    return encoded(Image.new("1", (width, height)), "BMP")


NARROW: dict[str, Make] = {
    "PNG of 49,000,000 x 1": partial(png, 49_000_000, 1),
    "PNG of 1 x 49,000,000": partial(png, 1, 49_000_000),
    "PNG of 7,000,000 x 7": partial(png, 7_000_000, 7),
    "PNG of 65,535 x 1": partial(png, 65_535, 1),
    "PNG of 65,535 x 760": partial(png, 65_535, 760),
    "JPEG of 65,500 x 760": partial(jpeg, 65_500, 760),
    "JPEG of 1 x 65,500": partial(jpeg, 1, 65_500),
    "GIF of 65,535 x 760": partial(gif, 65_535, 760, 1),
    "TIFF of 49,000,000 x 1": lambda: tiff(49_000_000, 1, pixels=zeros(49_000_000)),
    "TIFF of 1 x 49,000,000": lambda: tiff(1, 49_000_000, pixels=zeros(49_000_000)),
    "TIFF of 65,535 x 760": lambda: tiff(65_535, 760, pixels=zeros(65_535 * 760)),
    "BMP of 49,000,000 x 1": partial(bmp, 49_000_000, 1),
    "BMP of 65,535 x 760": partial(bmp, 65_535, 760),
    "WebP of 16,383 x 1": partial(webp, 16_383, 1, 1),
    "AVIF of 16 x 65,535": lambda: encoded(Image.new("L", (16, 65_535)), "AVIF", speed=10),
}
LYING: dict[str, Make] = {
    "PNG of 64 x 64 and of 13,000 x 13,000": partial(png_with_two_headers, 13_000, 13_000),
    "APNG with more frames than it says": partial(apng, 220, 220, 1_000, announced=2),
    "APNG with a frame larger than itself": partial(apng, 7_000, 7_000, 2, canvas=(64, 64)),
    "JPEG of 8 x 8 and of 65,500 x 65,500": partial(jpeg_with_two_headers, 65_500, 65_500),
    "GIF with a frame outside": partial(gif_with_far_frame, 60_000, 60_000),
    "WebP with a frame larger than itself": partial(webp, 7_000, 7_000, 2, canvas=(64, 64)),
    "WebP that is larger than its canvas": partial(webp_larger_than_canvas, 7_000, 7_000),
    "TIFF in a tile of 32,768 x 32,768": partial(tiff_with_large_tile, 32_768, 32_768),
    "TIFF in a tile of 32,768 x 32,768, LZW": partial(tiff_with_large_tile, 32_768, 32_768, 5),
    "TIFF in a tile of 32,768 x 32,768, ZSTD": partial(
        tiff_with_large_tile, 32_768, 32_768, 50_000
    ),
    "TIFF in 4,000,000 tiles": partial(tiff_of_tiny_tiles, 2_000),
    "TIFF of 64 x 64 and of 13,000 x 13,000": partial(tiff_with_two_widths, 13_000, 13_000),
    "AVIF of 64 x 64 and of 8,192 x 8,192": partial(avif_that_lies, 8_192),
    "AVIF with an alpha of 8,192 x 8,192": partial(avif_with_alpha_that_lies, 8_192),
    "AVIF sequence of 64 x 64 and of 8,192 x 8,192": partial(avif_sequence_that_lies, 8_192),
}
ENDLESS: dict[str, Make] = {
    "GIF of 200,000 frames of 1 x 1": partial(gif, 1, 1, 200_000),
    "GIF of 1,000 frames of 220 x 220": partial(gif, 220, 220, 1_000),
    "GIF of 2,000 frames of 1 x 1": partial(gif, 1, 1, 2_000),
    "APNG of 40,000 frames of 1 x 1": partial(apng, 1, 1, 40_000),
    "APNG of 1,000 frames of 220 x 220": partial(apng, 220, 220, 1_000),
    "APNG of 2,000 frames of 1 x 1": partial(apng, 1, 1, 2_000),
    "WebP of 200,000 frames of 1 x 1": partial(webp, 1, 1, 200_000),
    "WebP of 1,000 frames of 220 x 220": partial(webp, 220, 220, 1_000),
    "WebP of 2,000 frames of 1 x 1": partial(webp, 1, 1, 2_000),
    "AVIF of 3,000 frames of 16 x 16": partial(avif_sequence, 16, 3_000),
    "AVIF of 1,000 frames of 220 x 220": partial(avif_sequence, 220, 1_000),
    "GIF of 1,000 colourful frames": lambda: gif(220, 220, 1_000, colourful(220)),
    "APNG of 1,000 colourful frames": lambda: apng(220, 220, 1_000, image=colourful(220)),
    "WebP of 1,000 colourful frames": lambda: webp(220, 220, 1_000, image=colourful(220)),
    "AVIF of 1,000 colourful frames": lambda: animated(
        "AVIF", [colourful(220)] * 1_000, speed=10, duration=20
    ),
    "TIFF of 100,000 pages": lambda: tiff(1, 1, pixels=zeros(1), pages=100_000),
}
# No tricks, but as many pixels as are accepted in as few bytes as can be.
FULL: dict[str, Make] = {
    "JPEG of 7,000 x 7,000": lambda: encoded(
        Image.new("RGB", (7_000, 7_000)), "JPEG", progressive=True, subsampling=0
    ),
    "WebP of 16,383 x 3,050": partial(webp, 16_383, 3_050, 1),
    "WebP frame on a canvas of 16,383 x 3,050": partial(webp, 16_383, 3_000, 1, (16_383, 3_050)),
    "AVIF of 7,000 x 7,000": lambda: encoded(Image.new("RGB", (7_000, 7_000)), "AVIF", speed=10),
}
# For the benchmark alone, which they take some minutes: a plane of alpha, and as many frames as are
# processed one by one.
LONG: dict[str, Make] = {
    "WebP of 16,383 x 3,050 with alpha": lambda: encoded(
        Image.new("RGBA", (16_383, 3_050), (10, 200, 30, 128)), "WEBP", method=0
    ),
    "GIF of 312 frames of 800 x 800": partial(gif_of_changes, 800, 800, 312),
    "GIF of 20 frames of 3,500 x 3,500": partial(gif_of_changes, 3_500, 3_500, 20),
    "GIF of 2,000 frames of 350 x 350": partial(gif_of_changes, 350, 350, 2_000),
    "GIF of 6 frames of 7,000 x 7,000": partial(gif_of_changes, 7_000, 7_000, 6),
}
TRICKS: dict[str, Make] = NARROW | LYING | ENDLESS | FULL
