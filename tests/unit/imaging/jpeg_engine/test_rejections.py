"""What the engine leaves to the way by pixels, and the word that it has for it."""

import re
import struct

import pytest
from PIL import Image

from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions, compress, containers
from imgcompress.imaging.jpeg_engine import library
from imgcompress.imaging.jpeg_engine.library import Rejected, inspect, requantise
from imgcompress.imaging.jpeg_engine.recompress import FINEST, step_of

from .sources import CODINGS, SAMPLINGS, pixels, source
from tests.support.images import SAMPLES, encoded, opened, photo, srgb_profile

PLAIN = source((301, 203), "4:2:0")
PROGRESSIVE = source((301, 203), "4:2:0", "progressive")
RESTARTS = source((301, 203), "4:2:0", "restarts in rows")


def turned(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def wide_profile():
    """Return the profile that a sample photo has: a small one that is not sRGB."""
    return opened((SAMPLES / "rocket.jpg").read_bytes()).info["icc_profile"]


def with_segment(marker, body):
    return PLAIN[:2] + struct.pack(">HH", marker, len(body) + 2) + body + PLAIN[2:]


def scans_apart():
    """Return a sequential JPEG with a scan for each component, as `cjpeg -scans` makes them."""
    grey = source((16, 16), "grey")
    tables = grey[2 : grey.index(b"\xff\xc0")]
    codes = grey[grey.index(b"\xff\xc4") : grey.index(b"\xff\xda")]
    scan = grey[grey.index(b"\xff\xda") : -2]
    frame = b"\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    scans = b"".join(
        scan.replace(b"\xff\xda\x00\x08\x01\x01", b"\xff\xda\x00\x08\x01" + name)
        for name in (b"\x01", b"\x02", b"\x03")
    )
    return b"\xff\xd8" + tables + frame + codes + scans + b"\xff\xd9"


def deep_tables():
    """Return PLAIN with its first table in 16 bits, of steps that need them."""
    at = PLAIN.index(b"\xff\xdb\x00\x43\x00")
    table = b"\xff\xdb\x00\x83\x10" + b"".join(
        struct.pack(">H", 200 * step) for step in PLAIN[at + 5 : at + 69]
    )
    return PLAIN[:at] + table + PLAIN[at + 69 :]


def of_size(data, height, width):
    """Return the JPEG with another size in its header."""
    at = re.search(rb"\xff[\xc0-\xc2]\x00\x11\x08", data).end()
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


REJECTED = {
    "arithmetic": PLAIN.replace(b"\xff\xc0\x00\x11", b"\xff\xc9\x00\x11"),
    "process": PLAIN.replace(b"\xff\xc0\x00\x11", b"\xff\xc3\x00\x11"),
    "deep": PLAIN.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"),
    "deep tables": deep_tables(),
    "colours": encoded(photo().convert("CMYK"), "JPEG"),
    "colours, RGB": PLAIN[:2] + b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\0" + PLAIN[20:],
    "sampling": PLAIN.replace(b"\x03\x01\x22\x00", b"\x03\x01\x33\x00"),
    "scans": scans_apart(),
    "truncated": PLAIN[:-500],
    "truncated, no end": PLAIN[:-2],
    "truncated, a scan is missing": PROGRESSIVE[: PROGRESSIVE.rindex(b"\xff\xda")] + b"\xff\xd9",
    "damaged, restart": RESTARTS.replace(b"\xff\xd1", b"\xff\xd5", 1),
    "damaged, rest": PLAIN[:-2] + b"\0\0\0" + PLAIN[-2:],
    "damaged, no code": PLAIN.replace(b"\xff\xc4", b"\xff\xe5", 1),
    "damaged, no table": PLAIN.replace(b"\xff\xdb", b"\xff\xe5", 1),
    "damaged, no size": of_size(PLAIN, 0, 301),
    "truncated, blank": of_size(PLAIN, 65_500, 65_500),
    "sparse": of_size(PROGRESSIVE, 32_767, 32_767),
}
CHANGED = {
    "resized": (PLAIN, CompressOptions(max_width=100)),
    "edges": (encoded(photo(301, 203), "JPEG", exif=turned(6)), CompressOptions()),
    "turned, by XMP": (
        with_segment(0xFFE1, b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation="6"/>'),
        CompressOptions(),
    ),
    "turned, EXIF is damaged": (
        with_segment(0xFFE1, b"Exif\0\0MM\0*\0\0\xff\xff"),
        CompressOptions(),
    ),
    "profile, large": (
        encoded(
            photo(301, 203),
            "JPEG",
            quality=95,
            icc_profile=(wide_profile() + bytes(4097 - len(wide_profile()))),
        ),
        CompressOptions(),
    ),
    "profile, suspect": (
        encoded(photo(301, 203), "JPEG", quality=95, icc_profile=(wide_profile() + b"<?php ?>")),
        CompressOptions(),
    ),
    "profile, in parts": (
        encoded(photo(301, 203), "JPEG", quality=95, icc_profile=(wide_profile() + bytes(70_000))),
        CompressOptions(quality=50),
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_unsupported_input_is_rejected_with_a_reason(name):
    with pytest.raises(Rejected) as caught:
        requantise(REJECTED[name], 64.0)
    assert caught.value.reason == re.split(r"[ ,]", name)[0]


@pytest.mark.parametrize("name", CHANGED)
def test_images_that_need_pixels_are_decoded(name):
    data, options = CHANGED[name]
    result = compress(data, options)
    assert result.jpeg_engine == name.partition(",")[0]
    assert len(result.data) < len(data)


@pytest.mark.parametrize(
    "extra",
    [b"Exif\0\0MM\0*\0\0\0\x08\0\0", b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>", b"other"],
)
def test_metadata_that_turn_nothing_are_dropped_on_the_fast_way(extra):
    result = compress(with_segment(0xFFE1, extra), CompressOptions())
    assert result.jpeg_engine == "used" and extra not in result.data


@pytest.mark.parametrize(
    "options", [CompressOptions(), CompressOptions(quality=50), CompressOptions(quality=99)]
)
def test_a_small_profile_is_kept_and_counts(options):
    data = (SAMPLES / "rocket.jpg").read_bytes()
    result = compress(data, options)
    assert result.jpeg_engine == "used"
    assert opened(result.data).info["icc_profile"] == wide_profile()
    if options.quality is None:
        assert 0.985 * len(data) // 2 <= len(result.data) <= len(data) // 2


@pytest.mark.parametrize("options", [CompressOptions(), CompressOptions(quality=50, effort="low")])
def test_a_plain_photo_is_never_opened_by_pillow(options, monkeypatch):
    data = source((640, 480), "4:2:0", quality=92)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("Pillow opened the image"))
    assert compress(data, options).jpeg_engine == "used"


def test_an_upright_photo_with_an_srgb_profile_goes_the_fast_way():
    data = encoded(photo(301, 203), "JPEG", quality=90, exif=turned(1), icc_profile=srgb_profile())
    result = compress(data, CompressOptions())
    assert result.jpeg_engine == "used"
    assert opened(result.data).info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize(
    "options",
    [
        CompressOptions(format="webp"),
        CompressOptions(format="png"),
        CompressOptions(jpeg_engine=False),
    ],
)
def test_the_engine_has_no_verdict_on_other_requests(options):
    assert compress(PLAIN, options).jpeg_engine is None
    assert compress(encoded(photo(), "PNG"), CompressOptions()).jpeg_engine is None


def test_the_limit_of_pixels_holds(raises):
    with raises("too_many_pixels", "301 x 203 pixels"):
        compress(PLAIN, CompressOptions(max_pixels=301 * 203 - 1))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_truncated_image_is_rejected_at_every_length(sampling, coding):
    data = source((17, 33), sampling, coding)
    for length in range(len(data)):
        with pytest.raises(Rejected):
            requantise(data[:length], 64.0)


def test_bytes_behind_the_image_are_dropped():
    result = compress(PLAIN + b"<?php echo 1;" * 100, CompressOptions())
    assert result.jpeg_engine == "used" and b"php" not in result.data


def test_a_payload_in_the_tables_of_the_source_is_not_taken_over():
    at = PLAIN.index(b"\xff\xdb\x00\x43\x00")
    payload = PLAIN[: at + 5] + b"<script" + b"\xff" * 57 + PLAIN[at + 69 :]
    assert b"<script" in requantise(payload, FINEST).data
    assert b"<script" not in compress(payload, CompressOptions()).data
    assert compress(payload, CompressOptions()).jpeg_engine == "no_gain"


def test_tables_that_happen_to_spell_something_are_made_once_more(monkeypatch):
    data = source((301, 203), "4:2:0", quality=75)
    first = requantise(data, 3000.0, len(data) // 2)
    spelt = first.data[25:60]
    assert not first.own_tables
    monkeypatch.setattr(containers, "_PAYLOADS", (spelt.lower(),))
    result = compress(data, CompressOptions())
    assert result.jpeg_engine == "used" and result.outcome == "target_met"
    assert spelt in first.data and spelt not in result.data
    assert 0.97 * (len(data) // 2) < len(result.data) <= len(data) // 2


@pytest.mark.parametrize("options", [{"min_quality": 60}, {"quality": 60}])
def test_tables_that_are_made_once_more_are_no_coarser_than_asked_for(options):
    """At quality 60, the engine's table of chroma holds 60, 63 and 61: `<?=`."""
    data = encoded(photo(600, 400), "JPEG", quality=80)
    coarsest = step_of(60, inspect(data).luma_sum)
    assert b"<?=" in requantise(data, coarsest).data
    result = compress(data, CompressOptions(**options))
    assert result.jpeg_engine == "used" and result.quality == 60
    assert len(result.data) > len(requantise(data, coarsest).data)


def test_without_the_engine_all_goes_by_way_of_pixels_and_it_is_said_once(monkeypatch, caplog):
    monkeypatch.setattr(library, "library", lambda: "The JPEG engine is not built.")
    library._complain.cache_clear()
    for _ in range(3):
        result = compress(PLAIN, CompressOptions())
        assert result.jpeg_engine == "not_built" and result.outcome == "target_met"
    assert [record.message for record in caplog.records if "not built" in record.message] == [
        "The JPEG engine is not built. JPEGs take longer to compress and look slightly worse;"
        " install a C compiler and run `make setup`."
    ]


def test_a_library_of_another_version_is_not_called(monkeypatch):
    monkeypatch.setattr(library, "VERSION", library.VERSION + 1)
    assert library.library.__wrapped__() == "The JPEG engine was built for another version."


def test_images_that_the_engine_finds_damaged_are_decoded(raises):
    with raises("truncated_image"):
        compress(PLAIN[:-500], CompressOptions())
    with pytest.raises(ImageError):
        compress(b"\xff\xd8\xff", CompressOptions())
    assert inspect(PLAIN).width == 301 and pixels(PLAIN).shape[1] == 301


def test_blocks_too_far_apart_for_baseline_jpeg_are_rejected():
    """Two blocks of 2047 and -2047 differ by more than a baseline JPEG can express."""
    grey = encoded(photo(16, 8).convert("L"), "JPEG", restart_marker_blocks=1)
    header = grey[: grey.index(b"\xff\xda") + 10]
    # The code of 11 bits, those bits, the end of the block.
    blocks = b"\xff\0\x7f\xfa\xff\xd0\xff\0\0\x0a"
    with pytest.raises(Rejected, match="damaged"):
        requantise(header + blocks + b"\xff\xd9", 64.0)
