"""What another format would save, where an image keeps its format and little was saved."""

from dataclasses import replace

import pytest

from imgcompress.imaging import CompressOptions, auto_format, compress

from tests.support.images import animated, cutout, drawing, encoded, photo

KEEP = CompressOptions()


def test_a_png_photo_is_advised_a_format_that_takes_about_as_many_bytes_as_said():
    data = encoded(photo(600, 400), "PNG")
    made = compress(data, replace(KEEP, compression_percentage=95))
    assert made.outcome == "floor_reached"
    assert made.advice_format in ("webp", "avif", "jpeg")
    assert made.advice_bytes < 0.9 * len(made.data)
    other = compress(
        data,
        CompressOptions(
            format=made.advice_format, compression_percentage=95, min_score=round(made.score)
        ),
    )
    assert made.advice_bytes == pytest.approx(len(other.data), rel=0.35)


def test_an_image_with_alpha_is_advised_a_format_that_has_it():
    data = encoded(cutout(600, 400), "PNG")
    made = compress(data, replace(KEEP, compression_percentage=95))
    assert made.outcome == "floor_reached" and made.advice_format in ("webp", "avif")


@pytest.mark.parametrize("engine", [True, False])
def test_a_jpeg_that_misses_its_target_is_advised_as_well(engine):
    """The engine's results are decoded for it."""
    data = encoded(drawing(600, 400), "JPEG", quality=60)
    made = compress(data, replace(KEEP, compression_percentage=95, jpeg_engine=engine))
    assert made.outcome == "floor_reached"
    assert made.advice_format in ("webp", "avif")
    assert 0 < made.advice_bytes < 0.9 * len(made.data)


def test_nothing_is_advised_where_the_target_is_met_or_a_format_was_asked_for():
    data = encoded(photo(600, 400), "PNG")
    for options in (
        replace(KEEP, compression_percentage=20),
        replace(KEEP, compression_percentage=95, format="png"),
        replace(KEEP, compression_percentage=95, format="auto"),
    ):
        made = compress(data, options)
        assert (made.advice_format, made.advice_bytes) == (None, None)


def test_nothing_is_advised_where_other_formats_save_little():
    data = encoded(drawing(), "WEBP", lossless=True)
    made = compress(data, KEEP)
    assert made.outcome == "already_small"
    assert made.advice_format is None


def panned(count=6):
    """Return the frames of a camera that moves over a photo."""
    return [photo(300, 160).crop((8 * n, 4 * n, 8 * n + 200, 4 * n + 120)) for n in range(count)]


def test_a_gif_is_advised_an_animated_webp_of_about_as_many_bytes_as_said():
    data = animated("GIF", panned())
    made = compress(data, replace(KEEP, compression_percentage=95))
    assert made.outcome == "floor_reached" and made.advice_format == "webp"
    assert made.advice_bytes < 0.9 * len(made.data)
    webp = CompressOptions(
        format="webp", compression_percentage=95, min_score=min(90, round(made.score))
    )
    assert made.advice_bytes == pytest.approx(len(compress(data, webp).data), rel=0.35)


@pytest.mark.parametrize("format, frames_held", [("WEBP", 6), ("GIF", 5)])
def test_no_other_format_is_advised_for_a_webp_or_a_gif_too_long_to_hold(format, frames_held):
    data = animated(format, panned())
    options = replace(KEEP, compression_percentage=95, max_pixels=frames_held * 200 * 120)
    made = compress(data, options)
    assert made.outcome in ("floor_reached", "already_small")
    assert made.advice_format is None


def test_a_photo_that_no_format_saves_anything_of_is_looked_at_only_in_small(monkeypatch):
    looked_at = []

    def encode(sample, format, quality):
        looked_at.append(sample.size)
        return encoded_sample(sample, format, quality)

    encoded_sample = auto_format._encoded
    monkeypatch.setattr(auto_format, "_encoded", encode)
    made = compress(encoded(photo(700, 500), "JPEG", quality=20), KEEP)
    assert made.outcome == "already_small" and made.advice_format is None
    side = auto_format.FIRST_SQUARE * auto_format.GRID
    assert looked_at and set(looked_at) == {(side, side)}
