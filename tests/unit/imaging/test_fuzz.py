"""Whatever the bytes are: a result that keeps its word, or an error of the tree."""

import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgcompress.errors import IMAGE_ERRORS, ImageError
from imgcompress.imaging import CompressOptions, compress

from tests.support.images import animated, cutout, drawing, encoded, frames, opened, photo

pillow_heif.register_heif_opener()

SEEDS = {
    "jpeg": encoded(photo(48, 32), "JPEG"),
    "progressive": encoded(photo(48, 32), "JPEG", progressive=True),
    "png": encoded(cutout(48, 32), "PNG"),
    "palette": encoded(drawing(48, 32).quantize(8), "PNG"),
    "apng": animated("PNG", frames(3, 32, 24), duration=20),
    "webp": encoded(photo(48, 32), "WEBP"),
    "webp animation": animated("WEBP", frames(3, 32, 24), duration=20),
    "gif": animated("GIF", frames(3, 32, 24), duration=20),
    "tiff": encoded(photo(48, 32), "TIFF", compression="tiff_lzw"),
    "bmp": encoded(photo(48, 32), "BMP"),
    "avif": encoded(photo(48, 32), "AVIF", speed=10),
    "heif": encoded(photo(48, 32), "HEIF"),
}
NAMES = [
    pytest.param(
        name, marks=pytest.mark.one_way if name.startswith(("webp", "avif", "heif")) else ()
    )
    for name in SEEDS
]
OUTCOMES = {"target_met", "floor_reached", "already_small", "larger"}
FREE = {"tiff", "bmp", "heif"}
quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check(data, may_be_larger=False):
    try:
        result = compress(data, CompressOptions(max_pixels=200_000))
    except ImageError as error:
        assert error.code in IMAGE_ERRORS
        assert error.code != "internal_error", error.detail
    else:
        assert result.outcome in OUTCOMES
        assert opened(result.data).size == (result.width, result.height)
        assert may_be_larger or len(result.data) <= len(data)


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_random_bytes(data):
    check(data)


@given(
    st.sampled_from(
        [
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"RIFF\x40\0\0\0WEBPVP8 ",
            b"RIFF\x40\0\0\0WEBPVP8X",
            b"GIF89a",
            b"II*\0",
            b"MM\0*",
            b"\0\0\0\x20ftypavif\0\0\0\0avifmif1",
        ]
    ),
    st.binary(max_size=300),
)
@settings(max_examples=200, deadline=None)
def test_random_bytes_behind_a_signature(signature, data):
    check(signature + data, may_be_larger=True)


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
@quick
def test_flipped_bytes(name, data):
    damaged = bytearray(SEEDS[name])
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(damaged), may_be_larger=name in FREE)


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
@quick
def test_bytes_cut_out_and_put_in(name, data):
    seed = SEEDS[name]
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, min(len(seed), start + 64)))
    check(seed[:start] + data.draw(st.binary(max_size=16)) + seed[end:], may_be_larger=name in FREE)


@given(
    st.sampled_from(sorted(SEEDS)),
    st.integers(1, 95),
    st.integers(1, 95),
    st.none() | st.integers(1, 95),
    st.none() | st.integers(1, 60),
    st.sampled_from(["keep", "jpeg", "png", "webp", "avif"]),
)
@quick
def test_every_option(name, percentage, floor, quality, width, format):
    data = SEEDS[name]
    result = compress(
        data,
        CompressOptions(
            compression_percentage=percentage,
            min_quality=floor,
            quality=quality,
            max_width=width,
            format=format,
        ),
    )
    assert result.outcome in OUTCOMES
    if result.outcome == "target_met" and quality is None:
        assert len(result.data) <= len(data) * (100 - percentage) // 100
    if result.outcome == "floor_reached":
        assert len(result.data) < len(data)
    if format == "keep" and name not in FREE and not (name == "palette" and width):
        assert len(result.data) <= len(data)
    assert (result.outcome == "larger") == (len(result.data) > len(data))
