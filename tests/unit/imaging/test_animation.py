"""Animations keep every frame, its duration and the number of loops."""

import pytest

from imgcompress.imaging import CompressOptions, compress

from tests.support.images import animated, bare, cutout, difference, drawing, frames, opened

DURATIONS = [40, 80, 120, 160, 200, 240]


def shown(data):
    """Return the frames as they look, their durations, and the number of loops."""
    image = opened(data)
    looks, durations = [], []
    for number in range(image.n_frames):
        image.seek(number)
        image.load()
        looks.append(bare(image.convert("RGBA")))
        durations.append(image.info["duration"])
    return looks, durations, image.info.get("loop")


def moving(format, **settings):
    settings = {"WEBP": {"quality": 90}}.get(format, {}) | settings
    return animated(format, frames(), duration=DURATIONS, loop=3, **settings)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_keeps_its_frames(format):
    data = moving(format)
    result = compress(data, CompressOptions())
    looks, durations, loop = shown(result.data)
    assert durations == DURATIONS
    assert loop == 3
    assert len(result.data) < len(data)
    for look, before in zip(looks, shown(data)[0], strict=True):
        assert difference(look, before) < 8


@pytest.mark.parametrize(
    "source, format",
    [("GIF", "webp"), ("GIF", "png"), ("WEBP", "png"), ("PNG", "webp"), ("GIF", "avif")],
)
def test_an_animation_survives_another_format(source, format):
    looks, durations, loop = shown(
        compress(moving(source), CompressOptions(format=format, min_quality=75)).data
    )
    assert durations == DURATIONS
    assert loop == (None if format == "avif" else 3)
    for look, frame in zip(looks, frames(), strict=True):
        assert difference(look, frame) < 10


def test_a_jpeg_shows_the_first_frame():
    result = compress(moving("GIF"), CompressOptions(format="jpeg"))
    assert result.format == "jpeg"
    assert difference(opened(result.data), frames()[0]) < 10


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_resized_in_every_frame(format):
    result = compress(moving(format), CompressOptions(max_width=48))
    looks, durations, _ = shown(result.data)
    assert {look.size for look in looks} == {(48, 32)} == {(result.width, result.height)}
    assert durations == DURATIONS


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_clear_parts_of_an_animation_stay_clear(format):
    still = cutout(96, 64)
    turning = [still.rotate(30 * number) for number in range(4)]
    data = animated(
        format, turning, duration=50, loop=0, **({"disposal": 2} if format == "GIF" else {})
    )
    looks, _, loop = shown(compress(data, CompressOptions()).data)
    assert loop == 0
    for look, before in zip(looks, shown(data)[0], strict=True):
        assert look.getpixel((0, 0))[3] == 0
        assert difference(look, before) < 8


def test_a_gif_that_plays_once_still_does():
    data = animated("GIF", frames(), duration=100)
    assert shown(compress(data, CompressOptions()).data)[2] is None
    assert shown(compress(data, CompressOptions(format="webp")).data)[2] == 1


def test_an_animation_that_gains_nothing_is_already_small():
    image = drawing(64, 64).quantize(4)
    data = animated("GIF", [image, image.rotate(90), image.rotate(180)], duration=100, loop=0)
    once = compress(data, CompressOptions())
    twice = compress(once.data, CompressOptions())
    assert twice.outcome == "already_small"
    assert len(twice.data) <= len(once.data) <= len(data)
    assert shown(twice.data)[1:] == ([100, 100, 100], 0)


@pytest.mark.parametrize("format", ["png", "webp"])
def test_a_frame_stays_no_longer_than_every_format_can_say(format):
    data = animated("WEBP", frames(2), duration=[100_000, 20])
    assert shown(compress(data, CompressOptions(format=format)).data)[1] == [65_535, 20]


def test_the_still_image_of_an_apng_for_old_browsers_is_left_out():
    still = frames()[0].rotate(180)
    data = animated("PNG", [still, *frames()], duration=DURATIONS, default_image=True)
    looks, durations, _ = shown(compress(data, CompressOptions(max_width=48)).data)
    assert durations == DURATIONS
    assert len(looks) == len(frames())


def test_frames_count_as_pixels(raises):
    with raises("too_many_pixels", "96 x 64 pixels in 6 frames"):
        compress(moving("GIF"), CompressOptions(max_pixels=6 * 96 * 64 - 1))
    assert compress(moving("GIF"), CompressOptions(max_pixels=6 * 96 * 64)).width == 96
