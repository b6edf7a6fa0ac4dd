"""WebPs of one frame are decoded by libwebp alone, and come out as from Pillow."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from imgcompress.imaging import CompressOptions, compress, decode
from imgcompress.imaging.decode import decoded_webp
from imgcompress.imaging.score import score

from tests.support.images import animated, cutout, encoded, frames, photo
from tests.support.tricks import webp, webp_larger_than_canvas

pytestmark = pytest.mark.one_way

TURNED = Image.Exif()
TURNED[0x0112] = 6


def moved(data: bytes, left: int, top: int) -> bytes:
    """Return an animation whose first frame lies at an even place of the canvas."""
    head = data.index(b"ANMF") + 8
    place = (left // 2).to_bytes(3, "little") + (top // 2).to_bytes(3, "little")
    return data[:head] + place + data[head + 6 :]


SMALL = photo(90, 60).convert("RGBA")
STILL = {
    "lossy": encoded(photo(301, 203), "WEBP", quality=80),
    "lossless": encoded(photo(301, 203), "WEBP", lossless=True),
    "with alpha": encoded(cutout(), "WEBP", quality=80),
    "with alpha, lossless": encoded(cutout(), "WEBP", lossless=True),
    "turned, with a profile": encoded(photo(), "WEBP", exif=TURNED, icc_profile=b"profile"),
    "one pixel": encoded(photo(1, 1), "WEBP"),
    "an animation of one frame": webp(90, 60, 1, image=SMALL),
    "a frame smaller than its canvas": moved(webp(90, 60, 1, (200, 100), SMALL), 40, 22),
    "the same without alpha": moved(webp(90, 60, 1, (200, 100)), 110, 40),
}
# The file, and the size that Pillow has seen.
LEFT_TO_PILLOW = {
    "an animation": (animated("WEBP", frames(3)), (96, 64)),
    "damaged": (STILL["lossless"][:60] + b"\xff" * 400 + STILL["lossless"][460:], (301, 203)),
    "larger than its canvas": (webp_larger_than_canvas(100, 80), (64, 64)),
    "a frame larger than its canvas": (webp(90, 60, 1, (50, 50)), (50, 50)),
    "a frame beyond the edge": (moved(webp(90, 60, 1, (200, 100)), 112, 40), (200, 100)),
    "a frame that lies about its size": (
        webp(90, 60, 1).replace(b"\x59\0\0", b"\x58\0\0"),
        (89, 60),
    ),
}


@pytest.mark.parametrize("name", STILL)
def test_a_still_image_is_as_from_pillow(name):
    with Image.open(io.BytesIO(STILL[name])) as opened:
        found = decoded_webp(opened, STILL[name])
        opened.load()
        assert found is not None
        assert (found.mode == "RGBA", found.size) == (opened.mode == "RGBA", opened.size)
        assert np.array_equal(np.asarray(found.convert(opened.mode)), np.asarray(opened))
        assert found.info.keys() >= {"exif", "icc_profile"} & opened.info.keys()


@pytest.mark.parametrize("name", LEFT_TO_PILLOW)
def test_everything_else_is_left_to_pillow(name):
    data, size = LEFT_TO_PILLOW[name]
    assert decoded_webp(Image.new("RGB", size), data) is None


def test_a_truncated_file_is_rejected_as_by_pillow(raises):
    with raises("truncated_image"):
        compress(STILL["lossy"][:-400], CompressOptions())


@pytest.mark.parametrize("name", STILL)
def test_a_result_is_the_same_without_the_library(name, monkeypatch):
    quick = compress(STILL[name], CompressOptions(format="png"))
    monkeypatch.setattr(decode, "_libwebp", lambda: None)
    assert compress(STILL[name], CompressOptions(format="png")).data == quick.data


def test_still_images_take_this_way(monkeypatch):
    """Neither the source nor the output is decoded by way of an animation."""

    def refuse(*_):
        raise AssertionError("decoded by Pillow")

    assert decode.decoded_webp is decoded_webp
    data = encoded(photo(), "WEBP", quality=95)
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.load", refuse)
    assert compress(data, CompressOptions()).outcome == "target_met"
    assert score(photo(), data) > 80


PEAK = """
if True:
    import io, sys
    from PIL import Image
    from benchmarks.verdicts import resident
    from imgcompress.imaging.decode import to_plain
    from imgcompress.imaging.score import score
    from imgcompress.imaging.decode import decoded_webp

    data = sys.stdin.buffer.read()
    with Image.open(io.BytesIO(data)) as opened:
        before = resident("self", "VmHWM")
        picture = to_plain(decoded_webp(opened, data))
    score(picture, data)
    print(resident("self", "VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_pixels_are_not_held_four_times():
    """Pillow's decoder takes 16 bytes per pixel, and the picture that a score compares 4 more."""
    wide, high = 4000, 3000
    grown = subprocess.run(
        [sys.executable, "-c", PEAK],
        input=encoded(Image.new("RGB", (wide, high)), "WEBP", method=0),
        check=True,
        capture_output=True,
    ).stdout
    assert float(grown) * 2**20 < 12 * wide * high
