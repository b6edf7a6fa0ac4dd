"""Files that were made to cost much are rejected by their headers, or cost what others do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions, compress, compressor
from imgcompress.imaging.containers import avif, tiff
from imgcompress.imaging.probe import MAX_SIDE, MIN_FRAME_PIXELS
from imgcompress.imaging.score import BEST, compared

from tests.support import tricks
from tests.support.images import animated, cutout, encoded, frames, photo

PIXELS, FRAMES, DAMAGED = "too_many_pixels", "too_many_frames", "corrupt_image"
REJECTED = {
    "PNG of 49,000,000 x 1": PIXELS,
    "PNG of 1 x 49,000,000": PIXELS,
    "PNG of 7,000,000 x 7": PIXELS,
    "TIFF of 49,000,000 x 1": PIXELS,
    "TIFF of 1 x 49,000,000": PIXELS,
    "BMP of 49,000,000 x 1": PIXELS,
    "PNG of 64 x 64 and of 13,000 x 13,000": DAMAGED,
    "APNG with a frame larger than itself": DAMAGED,
    "JPEG of 8 x 8 and of 65,500 x 65,500": DAMAGED,
    "GIF with a frame outside": PIXELS,
    "TIFF in a tile of 32,768 x 32,768": PIXELS,
    "TIFF in a tile of 32,768 x 32,768, LZW": PIXELS,
    "TIFF in a tile of 32,768 x 32,768, ZSTD": PIXELS,
    "TIFF in 4,000,000 tiles": DAMAGED,
    "TIFF of 64 x 64 and of 13,000 x 13,000": DAMAGED,
    "AVIF of 64 x 64 and of 8,192 x 8,192": PIXELS,
    "AVIF with an alpha of 8,192 x 8,192": PIXELS,
    "AVIF sequence of 64 x 64 and of 8,192 x 8,192": PIXELS,
    "GIF of 200,000 frames of 1 x 1": FRAMES,
    "APNG of 40,000 frames of 1 x 1": FRAMES,
    "WebP of 200,000 frames of 1 x 1": FRAMES,
    "AVIF of 3,000 frames of 16 x 16": FRAMES,
}
COMPRESS_ALL = """if True:
    import sys
    from pathlib import Path
    from benchmarks.verdicts import resident
    from imgcompress.errors import ImageError
    from imgcompress.imaging import CompressOptions, compress
    from tests.support.images import encoded, photo

    for format in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"):
        compress(encoded(photo(), format), CompressOptions())
    before = resident("self", "VmHWM")
    for path in sorted(Path(sys.argv[1]).iterdir()):
        try:
            compress(path.read_bytes(), CompressOptions())
        except ImageError:
            pass
        else:
            sys.exit(f"{path.name} was accepted")
    print(resident("self", "VmHWM") - before)
"""


# The engine takes JPEGs, and its quantiser the pixels of what becomes a PNG or a GIF.
WITHOUT_ENGINE = ("WebP", "AVIF")


def tricks_by_name(names: Iterable[str]) -> list[Any]:
    """Return parameters, of which those that the engine never sees run one way."""
    return [
        pytest.param(name, marks=pytest.mark.one_way if name.startswith(WITHOUT_ENGINE) else ())
        for name in names
    ]


@cache
def made(name: str) -> bytes:
    """Return a file that plays this trick."""
    return tricks.TRICKS[name]()


@pytest.mark.parametrize("name", tricks_by_name(REJECTED))
def test_a_deceptive_image_is_rejected(name, raises):
    with raises(REJECTED[name]):
        compress(made(name), CompressOptions())


@pytest.mark.one_way  # Its process has the engine, whichever way this one goes.
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_rejected_images_take_no_memory(tmp_path: Path):
    for name in REJECTED:
        (tmp_path / name).write_bytes(made(name))
    grown = subprocess.run(
        [sys.executable, "-c", COMPRESS_ALL, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert float(grown) < 60


@pytest.mark.parametrize("size", [(MAX_SIDE, 1), (1, MAX_SIDE)])
def test_the_longest_side_is_exact(size, raises):
    width, height = size
    assert compress(tricks.png(width, height), CompressOptions()).width == width
    with raises("too_many_pixels", f"at most {MAX_SIDE}"):
        compress(tricks.png(width + (width > 1), height + (height > 1)), CompressOptions())


@pytest.mark.parametrize("size", [(4000, 1), (1, 4000), (4000, 7), (7, 4000), (1, 1)])
def test_nothing_is_enlarged_to_be_compared(size, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("resized")

    monkeypatch.setattr(Image.Image, "resize", refuse)
    grey = np.asarray(Image.effect_noise(size, 50))
    pixels = grey[:, :, np.newaxis]
    assert compared(pixels, pixels) == BEST
    assert compared(pixels, 255 - pixels) < BEST
    assert compress(encoded(Image.fromarray(grey), "PNG"), CompressOptions()).width == size[0]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_the_number_of_frames_is_limited(format, raises):
    data = animated(format, frames(6), duration=20)
    with raises("too_many_frames", "6 frames"):
        compress(data, CompressOptions(max_frames=5))
    assert compress(data, CompressOptions(max_frames=6)).width == 96


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_a_frame_counts_as_some_thousand_pixels(format, raises):
    data = animated(format, frames(3, 16, 16), duration=20)
    with raises("too_many_frames", "3 frames"):
        compress(data, CompressOptions(max_pixels=3 * MIN_FRAME_PIXELS - 1))
    assert compress(data, CompressOptions(max_pixels=3 * MIN_FRAME_PIXELS)).width == 16


@pytest.mark.parametrize("image", [photo(), photo(33, 77), photo(300, 1), cutout()])
def test_the_size_in_an_avif_bitstream_is_that_of_the_image(image):
    assert avif.coded_size(encoded(image, "AVIF", speed=10)) == image.size
    assert avif.coded_size(animated("AVIF", [image, image], speed=10)) == image.size


@pytest.mark.parametrize(
    "make",
    [tricks.avif_that_lies, tricks.avif_with_alpha_that_lies, tricks.avif_sequence_that_lies],
)
def test_the_declared_size_of_an_avif_is_checked(make, raises):
    with raises("too_many_pixels", "512 x 512"):
        compress(make(512), CompressOptions(max_pixels=512 * 512 - 1))


def test_a_tile_counts_as_it_is_decoded(raises):
    data = tricks.tiff(100, 100, (322, 4, 512), (323, 4, 512), pixels=tricks.zeros(512 * 512))
    with raises("too_many_pixels", "512 x 512"):
        compress(data, CompressOptions(max_pixels=512 * 512 - 1))
    assert compress(data, CompressOptions(max_pixels=512 * 512)).width == 100


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_of_a_tiff_are_read(order):
    prefix = {"<": "II", ">": "MM"}[order]
    assert tiff.size(encoded(Image.new("L", (70, 50)), "TIFF", prefix=prefix.encode())) == (
        70,
        50,
        1,
    )


def test_of_a_tiff_with_many_pages_the_others_are_not_looked_at():
    data = made("TIFF of 100,000 pages")
    assert compress(data, CompressOptions()).width == 1


@pytest.mark.parametrize("name", tricks_by_name(sorted(tricks.TRICKS.keys() - REJECTED.keys())))
def test_other_odd_images_are_compressed_or_reported(name):
    try:
        result = compress(made(name), CompressOptions())
    except ImageError as error:
        assert error.code in (DAMAGED, PIXELS)
    else:
        assert result.outcome in ("target_met", "floor_reached", "already_small")


@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
def test_a_decoder_is_gone_before_an_encoder_begins(format, monkeypatch):
    kept = []
    shrink = compressor.SHRINK[format.lower()]

    def watched(picture, source, goal):
        kept.append("image" in source.__dict__)
        return shrink(picture, source, goal)

    monkeypatch.setitem(compressor.SHRINK, format.lower(), watched)
    compress(encoded(photo(), format), CompressOptions())
    assert kept and not any(kept)
