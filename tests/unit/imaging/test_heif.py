"""HEIC images are read where their decoder is installed, within the limits of all others."""

import io
import random
import struct

import pillow_heif
import pytest
from PIL import Image, ImageCms, ImageOps

from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions, compress, probe
from imgcompress.imaging.colours import from_cicp
from imgcompress.imaging.containers import heic

from tests.support.images import cutout, difference, encoded, opened, photo

pillow_heif.register_heif_opener()

pytestmark = pytest.mark.one_way  # No JPEG goes in.


def heic_of(image, **settings):
    return encoded(image, "HEIF", **{"quality": 90} | settings)


TILED = {"tile_size": 128}


@pytest.mark.parametrize(
    "image, settings",
    [(photo(), {}), (photo().convert("L"), {}), (photo(301, 203), TILED), (photo(33, 17), {})],
    ids=["one picture", "grey", "tiles", "odd"],
)
def test_a_heic_becomes_a_jpeg(image, settings):
    result = compress(heic_of(image, **settings), CompressOptions(5))
    assert (result.format, result.width, result.height) == ("jpeg", *image.size)
    assert difference(opened(result.data), image) < 8


def test_a_heic_with_alpha_becomes_a_png():
    result = compress(heic_of(cutout()), CompressOptions(5))
    assert result.format == "png"
    assert difference(opened(result.data), cutout()) < 6


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif", "auto"])
def test_a_heic_becomes_the_requested_format(format):
    result = compress(heic_of(photo()), CompressOptions(5, format=format, max_width=120))
    assert result.format == format or format == "auto" and result.format in ("jpeg", "webp", "avif")
    assert (result.width, result.height) == (120, 80)


def test_a_jpeg_larger_than_its_heic_is_reported():
    result = compress(heic_of(photo(600, 400), quality=10), CompressOptions())
    assert result.outcome == "larger"


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_heic_is_turned_once(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = heic_of(photo(), exif=exif.tobytes())
    upright = photo().copy()
    upright.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(upright)
    shown = opened(compress(data, CompressOptions(5)).data)
    assert shown.size == upright.size
    assert difference(shown, upright) < 6


def test_the_colours_of_a_heic_are_converted():
    """By a profile as lcms does it, and by a code as the same file with that profile."""
    profile = from_cicp(12, 13)
    with_profile = heic_of(photo(), icc_profile=profile)
    expected = ImageCms.profileToProfile(
        opened(with_profile),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    shown = opened(compress(with_profile, CompressOptions(5)).data)
    assert "icc_profile" not in shown.info
    assert difference(shown, expected) < 5
    data = heic_of(photo())
    at = data.index(b"colrnclx") + 8
    coded = data[:at] + struct.pack(">HH", 12, 13) + data[at + 4 :]
    assert difference(opened(compress(coded, CompressOptions(5)).data), expected) < 5
    assert difference(expected, photo()) > 6


def with_side(data, side, other):
    """Return the file with each size that its boxes state exchanged for another."""
    stated = b"ispe" + struct.pack(">3I", 0, side, side)
    assert stated in data
    return data.replace(stated, b"ispe" + struct.pack(">3I", 0, other, other))


def test_the_limit_of_pixels_is_exact(raises):
    for data in (heic_of(photo(256, 128)), heic_of(photo(256, 128), **TILED)):
        with raises("too_many_pixels", "256 x 128 pixels"):
            compress(data, CompressOptions(max_pixels=256 * 128 - 1))
        assert compress(data, CompressOptions(max_pixels=256 * 128)).width == 256


def test_what_a_heic_says_is_not_believed(raises):
    data = heic_of(photo(256, 256))
    with raises("too_many_pixels", "256 x 256"):
        compress(with_side(data, 256, 64), CompressOptions(max_pixels=256 * 256 - 1))
    with raises("too_many_pixels", "60000 x 60000"):
        compress(with_side(data, 256, 60_000), CompressOptions())


def test_an_alpha_that_lies_is_found_out(raises):
    image = photo(256, 256).convert("RGBA")
    image.putalpha(Image.linear_gradient("L"))
    data = with_side(heic_of(image), 256, 64)
    with raises("too_many_pixels", "256 x 256"):
        compress(data, CompressOptions(max_pixels=256 * 256 - 1))


def grid(rows, columns, width, height):
    return struct.pack(">4BHH", 0, 0, rows - 1, columns - 1, width, height)


def test_the_size_of_a_grid_is_that_of_its_decoder(raises):
    data = heic_of(photo(256, 256), **TILED)
    honest = grid(2, 2, 256, 256)
    assert honest in data
    with raises("too_many_pixels", "60000 x 60000"):
        compress(data.replace(honest, grid(2, 2, 60_000, 60_000)), CompressOptions())
    for lie in (grid(200, 200, 256, 256), grid(1, 1, 256, 256)):
        with raises("corrupt_image"):
            compress(data.replace(honest, lie), CompressOptions())


def test_far_more_tiles_than_a_grid_needs_are_rejected(monkeypatch, raises):
    monkeypatch.setattr(heic, "TILES_PIXELS", 4 * 128 * 128 - 1)
    data = heic_of(photo(256, 256), **TILED)
    assert compress(data, CompressOptions(5)).width == 256
    with raises("corrupt_image", "far more tiles"):
        compress(data.replace(grid(2, 2, 256, 256), grid(2, 2, 64, 64)), CompressOptions())


def configuration(data):
    """Return the box that the decoder of the only picture is configured with."""
    start = data.index(b"hvcC") - 4
    return data[start : start + int.from_bytes(data[start : start + 4], "big")]


def test_the_configuration_of_the_decoder_counts(raises):
    small, large = heic_of(photo(64, 64)), heic_of(photo(120, 120))
    data = small.replace(configuration(small), configuration(large))
    assert len(data) == len(small)
    with raises("too_many_pixels", "120 x 120"):
        compress(data, CompressOptions(max_pixels=120 * 120 - 1))


def test_another_size_within_the_stream_is_rejected(monkeypatch, raises):
    record = configuration(heic_of(photo(120, 120)))[8:]
    unit = record[record.index(b"\x42\x01") - 2 :]
    size = int.from_bytes(unit[:2], "big")
    stream = struct.pack(">I", size) + unit[2 : 2 + size]
    assert list(heic.frame_sizes(stream)) == [(120, 120)]
    monkeypatch.setattr(heic, "pictures", lambda data, kind: [(1, stream)])
    with raises("corrupt_image"):
        compress(heic_of(photo(64, 64)), CompressOptions())


def test_a_truncated_heic_is_rejected():
    data = heic_of(photo())
    for length in (20, 100, 300, len(data) // 2, len(data) - 1):
        with pytest.raises(ImageError) as caught:
            compress(data[:length], CompressOptions())
        assert caught.value.code in ("truncated_image", "corrupt_image", "unsupported_format")


@pytest.mark.parametrize("settings", [{}, TILED])
def test_damage_is_an_error_of_the_image(settings):
    random.seed(7)
    data = heic_of(photo(160, 160), **settings)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[random.randrange(12, min(len(data), 900))] = random.randrange(256)
        try:
            compress(bytes(damaged), CompressOptions(max_pixels=200_000))
        except ImageError as error:
            assert error.code != "internal_error"


def test_heif_with_another_codec_inside_is_named(raises):
    data = encoded(photo(), "AVIF", speed=10).replace(b"avif", b"mif1", 1).replace(b"avif", b"miaf")
    with raises("unsupported_format", "The image is HEIF with av01 instead of HEVC inside."):
        compress(data, CompressOptions())


def test_without_the_decoder_the_error_says_what_to_install(monkeypatch, raises):
    monkeypatch.setattr(probe, "has_heif_decoder", lambda: False)
    with raises(
        "unsupported_format", "the operator can install support for it (imgcompress[heif])"
    ):
        compress(heic_of(photo()), CompressOptions())


def test_a_decoder_that_is_not_installed_is_not_registered(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(probe, "import_module", missing)
    assert probe.has_heif_decoder.__wrapped__() is False
