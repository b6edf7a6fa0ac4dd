"""What is no image, is damaged, or ends too early fails with its own code."""

import io
import warnings
import zipfile

import pytest

from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.errors import suppress_pillow_warnings

from tests.support.images import animated, difference, encoded, frames, opened, photo

FILES = {
    "JPEG": encoded(photo(), "JPEG", quality=90),
    "JPEG, progressive": encoded(photo(), "JPEG", quality=90, progressive=True),
    "JPEG, restarts": encoded(photo(), "JPEG", quality=90, restart_marker_rows=1),
    "JPEG, grey": encoded(photo().convert("L"), "JPEG", quality=90),
    "JPEG, CMYK": encoded(photo().convert("CMYK"), "JPEG", quality=90),
    "PNG": encoded(photo(), "PNG"),
    "APNG": animated("PNG", frames(), duration=50),
    "WebP": encoded(photo(), "WEBP"),
    "WebP, lossless": encoded(photo(), "WEBP", lossless=True),
    "WebP, animated": animated("WEBP", frames(), duration=50),
    "GIF": encoded(photo(), "GIF"),
    "TIFF": encoded(photo(), "TIFF"),
    "TIFF, LZW": encoded(photo(), "TIFF", compression="tiff_lzw"),
    "TIFF, JPEG": encoded(photo(), "TIFF", compression="jpeg"),
    "BMP": encoded(photo(), "BMP"),
    "AVIF": encoded(photo(), "AVIF", speed=10),
}
ONLY_COUNT = CompressOptions(quality=50)


def codes_of(files):
    codes = set()
    for data in files:
        with pytest.raises(ImageError) as caught:
            compress(data, ONLY_COUNT)
        codes.add(caught.value.code)
    return codes


def cuts(data, count=25):
    return [data[: len(data) * number // count] for number in range(1, count)]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_is_never_delivered(name):
    assert codes_of(cuts(FILES[name])) == {"truncated_image"}


@pytest.mark.parametrize("name", ["JPEG", "JPEG, restarts", "JPEG, grey", "JPEG, CMYK"])
def test_a_jpeg_that_was_cut_and_closed_has_no_grey_tail(name):
    assert codes_of(cut + b"\xff\xd9" for cut in cuts(FILES[name])) == {"truncated_image"}


def test_a_progressive_jpeg_that_was_cut_and_closed_fails_or_looks_complete():
    whole = opened(FILES["JPEG, progressive"])
    failed = 0
    for cut in cuts(FILES["JPEG, progressive"]):
        try:
            result = compress(cut + b"\xff\xd9", CompressOptions(quality=90))
        except ImageError as error:
            assert error.code == "truncated_image"
            failed += 1
        else:
            assert difference(opened(result.data), whole) < 4
    assert failed > 10


def test_a_complete_jpeg_without_its_end_marker_is_accepted_or_truncated():
    data = FILES["JPEG"]
    assert codes_of([data[:-200]]) == {"truncated_image"}
    assert compress(data + b"\0" * 100, CompressOptions()).outcome == "target_met"


@pytest.mark.parametrize("name", ["PNG", "WebP", "GIF", "TIFF, LZW"])
def test_damage_within_the_pixels_is_reported(name):
    data = bytearray(FILES[name])
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    try:
        compress(bytes(data), ONLY_COUNT)
    except ImageError as error:
        assert error.code in ("corrupt_image", "truncated_image")
        assert not error.retryable


def test_a_damaged_png_is_corrupt(raises):
    data = bytearray(FILES["PNG"])
    data[60] ^= 0xFF
    with raises("corrupt_image", "damaged"):
        compress(bytes(data), ONLY_COUNT)


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "a")
    return file.getvalue()


@pytest.mark.parametrize(
    "data, found",
    [
        (b"", "an empty file (0 bytes)"),
        (b"<!DOCTYPE html><html><body>not found</body></html>", "an HTML page (text/html)"),
        (b"\n\n <html lang=en>", "an HTML page (text/html)"),
        (b"\xef\xbb\xbf<!doctype HTML>", "an HTML page (text/html)"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b'{"error": "not found"}', "JSON (application/json)"),
        (b"Not Found", "plain text (text/plain)"),
        (b"%PDF-1.7\n...", "a PDF document"),
        (zipped(), "a ZIP archive"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip data"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video (video/mp4)"),
        (b"\x00\x01\x02\x03" * 20, "data of an unknown kind"),
    ],
)
def test_non_images_are_reported_by_type(data, found, raises):
    with raises("not_an_image", f"The URL returns {found}"):
        compress(data, CompressOptions())


@pytest.mark.parametrize(
    "data, name",
    [
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\1\0\1\0\x10\x10", "ICO"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- made by hand -->\n<svg width='1'/>", "SVG"),
        (b"II+\0\x08\0\0\0", "BigTIFF"),
    ],
)
def test_an_image_of_another_format_is_named(data, name, raises):
    with raises("unsupported_format", f"The image is {name}"):
        compress(data, CompressOptions())


def test_a_bug_in_the_service_is_not_blamed_on_the_image(raises, monkeypatch):
    def broken(*arguments):
        raise KeyError("bug")

    monkeypatch.setitem(compress.__globals__, "_compressed", broken)
    with raises("internal_error"):
        compress(FILES["PNG"], CompressOptions())


@pytest.mark.parametrize("stage", ["decode", "_compressed"])
def test_running_out_of_memory_is_an_image_error(stage, raises, monkeypatch):
    def hungry(*arguments, **options):
        raise MemoryError

    monkeypatch.setitem(compress.__globals__, stage, hungry)
    with raises("out_of_memory"):
        compress(FILES["PNG"], CompressOptions())


def test_the_filters_of_warnings_are_as_before():
    before = list(warnings.filters)
    with suppress_pillow_warnings(), suppress_pillow_warnings():
        assert list(warnings.filters) != before
    assert list(warnings.filters) == before


def test_the_filter_goes_even_if_others_have_filters_of_their_own_by_then():
    before = list(warnings.filters)
    silenced = suppress_pillow_warnings()
    silenced.__enter__()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silenced.__exit__(None, None, None)
    assert list(warnings.filters) == before


def test_only_the_warnings_of_pillow_are_kept_back_and_only_for_the_time():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        with suppress_pillow_warnings():
            warn("PIL.Image")
            assert not caught
            warn("imgcompress")
        warn("PIL.Image")
    assert len(caught) == 2


def warn(module):
    warnings.warn_explicit("odd", UserWarning, "file", 1, module=module)
