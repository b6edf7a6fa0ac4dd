"""Animations keep every frame, its duration and the number of loops."""

from weakref import ref

import pytest

from imgcompress.imaging import CompressOptions, compress, decode, probe
from imgcompress.imaging.decode import Picture
from imgcompress.imaging.encoders import gif
from imgcompress.imaging.probe import HELD_FRAMES

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
def test_a_frame_lasts_no_longer_than_every_format_can_express(format):
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
        compress(moving("WEBP"), CompressOptions(max_pixels=6 * 96 * 64 - 1))
    assert compress(moving("WEBP"), CompressOptions(max_pixels=6 * 96 * 64)).width == 96


LONG = {"max_pixels": HELD_FRAMES * 96 * 64}


@pytest.mark.parametrize("percentage", [20, 45, 95])
@pytest.mark.parametrize("clear", [False, True])
def test_a_gif_whose_frames_are_not_held_becomes_the_same(percentage, clear):
    images = [cutout(96, 64).rotate(9 * n) for n in range(6)] if clear else frames()
    data = animated("GIF", images, duration=DURATIONS, loop=3, disposal=2 if clear else 0)
    held = compress(data, CompressOptions(percentage))
    streamed = compress(data, CompressOptions(percentage, **LONG))
    assert (streamed.outcome, streamed.quality) == (held.outcome, held.quality)
    assert shown(streamed.data)[1:] == (DURATIONS, 3)
    for look, expected in zip(shown(streamed.data)[0], shown(held.data)[0], strict=True):
        assert difference(look, expected) < 3


@pytest.fixture
def free_frames(monkeypatch):
    """Let small frames count as no more than their pixels."""
    monkeypatch.setattr(probe, "MIN_FRAME_PIXELS", 1)


@pytest.mark.usefixtures("free_frames")
def test_a_long_gif_meets_its_target_by_a_sample(monkeypatch):
    monkeypatch.setattr(gif, "SAMPLE_PIXELS", 2 * gif.RUN * 96 * 64)
    data = animated("GIF", frames(12), duration=50)
    for percentage in (25, 35):
        result = compress(data, CompressOptions(percentage, **LONG))
        assert result.outcome == "target_met"
        assert len(result.data) > 0.8 * (1 - percentage / 100) * len(data)


@pytest.mark.usefixtures("free_frames")
def test_few_frames_of_a_long_gif_are_in_memory(monkeypatch):
    monkeypatch.setattr(gif, "SAMPLE_PIXELS", gif.RUN * 96 * 64)
    known, alive = [], []
    normalised = decode._normalised

    def watched(*arguments):
        frame = normalised(*arguments)
        known.append(ref(frame))
        alive.append(sum(one() is not None for one in known))
        return frame

    monkeypatch.setattr(decode, "_normalised", watched)
    data = animated("GIF", frames(12), duration=50)
    compress(data, CompressOptions(max_width=90, **LONG))
    assert len(known) > 2 * 12
    assert max(alive) <= gif.RUN + HELD_FRAMES


def test_a_long_gif_stays_a_gif_and_cannot_become_another_animation(raises):
    data = moving("GIF")
    assert compress(data, CompressOptions(format="auto", **LONG)).format == "gif"
    still = compress(data, CompressOptions(format="jpeg", **LONG))
    assert difference(opened(still.data), frames()[0]) < 10
    for options in ({"format": "webp"}, {"format": "auto", "formats": "webp,avif"}):
        with raises("too_many_pixels", "96 x 64 pixels in 6 frames"):
            compress(data, CompressOptions(**options, **LONG))


@pytest.mark.usefixtures("free_frames")
def test_a_gif_may_be_several_times_as_long_as_the_limit(raises, monkeypatch):
    monkeypatch.setattr(probe, "STREAMED_LIMITS", 2)
    data = animated("GIF", frames(11), duration=50)
    assert compress(data, CompressOptions(max_pixels=96 * 64 * 11 // 2)).width == 96
    with raises("too_many_pixels", "96 x 64 pixels in 11 frames"):
        compress(data, CompressOptions(max_pixels=96 * 64 * 11 // 2 - 1))


@pytest.mark.usefixtures("free_frames")
def test_some_frames_of_a_long_gif_are_held_at_once(raises):
    data = animated("GIF", frames(11), duration=50)
    with raises("too_many_pixels", "96 x 64 pixels in 11 frames"):
        compress(data, CompressOptions(max_pixels=HELD_FRAMES * 96 * 64 - 1))


def test_unchanged_frames_extend_the_one_before_up_to_the_limit_of_gif():
    still = drawing(64, 64).quantize(4)
    picture = Picture(
        [still] * 12, untouched=False, source_pixels=64 * 64, durations=(65_535,) * 12
    )
    changes = list(gif._changes(picture.frames, picture.durations, clear=False))
    assert [stays for _, _, stays in changes] == [10 * 65_535, 2 * 65_535]
    assert [box for _, box, _ in changes] == [(0, 0, 64, 64), (0, 0, 1, 1)]
