"""Plain JPEGs go the short way, and come out as if Pillow had done it."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions, compress, decode, turbo
from imgcompress.imaging.jpeg_engine import library

from tests.support.images import SAMPLES, difference, encoded, opened, photo, srgb_profile

PLAIN = {
    "4:2:0": encoded(photo(301, 203), "JPEG", quality=90),
    "4:2:2": encoded(photo(301, 203), "JPEG", quality=90, subsampling="4:2:2"),
    "4:4:4": encoded(photo(301, 203), "JPEG", quality=95, subsampling="4:4:4"),
    "progressive": encoded(photo(301, 203), "JPEG", quality=90, progressive=True),
    "restarts": encoded(photo(301, 203), "JPEG", quality=90, restart_marker_rows=1),
    "grey": encoded(photo(301, 203).convert("L"), "JPEG", quality=90),
    "sRGB": encoded(photo(301, 203), "JPEG", quality=90, icc_profile=srgb_profile()),
    "one pixel": encoded(photo(1, 1), "JPEG"),
    "large": encoded(photo(1100, 900), "JPEG", quality=92),
    "hubble": (SAMPLES / "hubble_deep_field.jpg").read_bytes(),
}
TURNED = Image.Exif()
TURNED[0x0112] = 6
NOT_PLAIN = {
    "CMYK": encoded(photo().convert("CMYK"), "JPEG"),
    "turned": encoded(photo(), "JPEG", exif=TURNED),
    "a profile that is not sRGB": (SAMPLES / "rocket.jpg").read_bytes(),
    "end missing": PLAIN["4:2:0"][:-500],
    "marker inside": PLAIN["restarts"].replace(b"\xff\xd1", b"\xff\xd5", 1),
    "arithmetic": PLAIN["4:2:0"].replace(b"\xff\xc0\x00\x11", b"\xff\xc9\x00\x11"),
}


@pytest.fixture(autouse=True, scope="module")
def way():
    """Go by way of pixels, as if the JPEG engine were not built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "library", lambda: "It is switched off.")
        yield "pixels"


@pytest.fixture
def by_pillow(monkeypatch):
    """Compress as if libjpeg-turbo alone could decode nothing."""

    def run(data, options):
        with monkeypatch.context() as patch:
            patch.setattr(decode, "decoded", lambda *_: None)
            return compress(data, options)

    return run


def went_the_short_way(data, options=CompressOptions()):
    seen = []
    decoded = turbo.decoded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "decoded", lambda *known: seen.append(decoded(*known)) or seen[0])
        try:
            compress(data, options)
        except ImageError:
            pass
    return bool(seen) and seen[0] is not None


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(
    "options",
    [CompressOptions(), CompressOptions(quality=50), CompressOptions(quality=85)],
    ids=["half", "50", "85"],
)
def test_a_plain_jpeg_comes_out_as_by_pillow(name, options, by_pillow):
    assert went_the_short_way(PLAIN[name], options)
    ours, theirs = compress(PLAIN[name], options), by_pillow(PLAIN[name], options)
    assert (ours.outcome, ours.width, ours.height) == (theirs.outcome, theirs.width, theirs.height)
    assert len(ours.data) == pytest.approx(len(theirs.data), rel=0.08)
    assert (ours.quality or 0) == pytest.approx(theirs.quality or 0, abs=2)
    source, *outputs = (opened(data) for data in (PLAIN[name], ours.data, theirs.data))
    assert outputs[0].mode == outputs[1].mode
    assert difference(outputs[0], source) < difference(outputs[1], source) * 1.05 + 0.1
    # A point of quality is worth about two of the score here.
    apart = abs((ours.quality or 0) - (theirs.quality or 0))
    assert ours.score == pytest.approx(theirs.score, abs=5 + 2 * apart)


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_other_jpegs_are_left_to_pillow(name):
    assert not went_the_short_way(NOT_PLAIN[name])


@pytest.mark.parametrize(
    "options",
    [
        CompressOptions(max_width=100),
        CompressOptions(format="webp", max_width=8),
        CompressOptions(format="png"),
    ],
    ids=["smaller", "WebP", "PNG"],
)
def test_conversions_are_left_to_pillow(options):
    assert not went_the_short_way(PLAIN["4:2:0"], options)


def test_a_size_that_pillow_does_not_see_is_rejected():
    assert turbo.decoded(PLAIN["4:2:0"], "RGB", (301, 203)) is not None
    assert turbo.decoded(PLAIN["4:2:0"], "RGB", (301, 204)) is None


def test_a_truncated_jpeg_is_rejected_at_every_length():
    data = PLAIN["grey"]
    for length in range(2, len(data) - 2, 211):
        assert turbo.decoded(data[:length], "L", (301, 203)) is None


@pytest.mark.parametrize("seed", ["4:2:0", "progressive", "restarts", "grey"])
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_verdict_on_damage_is_pillows(seed, data):
    damaged = bytearray(PLAIN[seed])
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(2, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    options = CompressOptions(quality=50, max_pixels=200_000)
    ours = verdict(bytes(damaged), options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "decoded", lambda *_: None)
        assert ours == verdict(bytes(damaged), options)


def verdict(data, options):
    try:
        result = compress(data, options)
    except ImageError as error:
        return error.code
    return result.format, result.width, result.height


def test_repeated_chroma_loses_nothing_at_half_size():
    """Chroma that was drawn smooth at full size has lost contrast when it is halved again."""
    source = PLAIN["4:2:0"]
    pixels = turbo.decoded(source, "RGB", (301, 203))
    ours = turbo.encoded(pixels, 95, 2)
    theirs = encoded(opened(source), "JPEG", quality=95, subsampling=2)
    chroma = [chroma_of(data) for data in (source, ours, theirs)]
    assert difference(chroma[0], chroma[1]) <= difference(chroma[0], chroma[2])


def chroma_of(data):
    with Image.open(io.BytesIO(data)) as image:
        image.draft("YCbCr", image.size)
        return image.getchannel("Cb").resize((150, 101), Image.Resampling.BOX)
