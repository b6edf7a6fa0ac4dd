"""Palettes: exact where they can be, else of colours that the pixels are mapped to."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imgcompress.imaging.encoders import quantiser
from imgcompress.imaging.encoders.common import COLOURS, EncodeTarget, most_colours
from imgcompress.imaging.encoders.quantiser import Quantiser

from tests.support.images import cutout, difference, drawing, frames, photo

PICTURES = {
    "photo": [photo()],
    "grey": [photo().convert("L")],
    "frames": frames(),
    "cutout": [cutout()],
    "grey cutout": [cutout().convert("LA")],
    "turning": [cutout().rotate(40 * number) for number in range(4)],
    "no solid pixel": [cutout().point([*range(256)] * 3 + [value // 2 for value in range(256)])],
}


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at few pixels of an image to choose colours, and at few of them at once."""
    monkeypatch.setattr(quantiser, "SAMPLE", 2_000)
    monkeypatch.setattr(quantiser, "PIXELS_AT_ONCE", 5_000)


def reduced(name: str, colours: int, dither: float) -> list[Image.Image]:
    reducing = Quantiser(PICTURES[name])
    assert len(reducing.table(colours)) <= colours
    return reducing.mapped(colours, dither)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("colours, most", [(64, 7), (256, 5)])
@pytest.mark.parametrize("dither", [0, 0.8])
@pytest.mark.parametrize("name", PICTURES)
def test_an_image_looks_like_itself_in_few_colours(
    name: str, dither: float, colours: int, most: float
) -> None:
    for before, after in zip(PICTURES[name], reduced(name, colours, dither), strict=True):
        assert after.mode == "P"
        assert difference(after, before) < most


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("dither", [0, 0.8])
@pytest.mark.parametrize("name", ["cutout", "turning"])
def test_clear_and_solid_pixels_stay_so(name: str, dither: float) -> None:
    for before, after in zip(PICTURES[name], reduced(name, 64, dither), strict=True):
        alpha, shown = (np.asarray(image.convert("RGBA"))[..., 3] for image in (before, after))
        assert (shown[alpha == 0] == 0).all()
        assert (shown[alpha == 255] == 255).all()


def test_small_things_keep_their_hues() -> None:
    image = photo(600, 400).copy()
    hues = [(18, 150, 60), (230, 20, 140), (20, 110, 230)]
    for number, hue in enumerate(hues):
        ImageDraw.Draw(image).rectangle((20 + 14 * number, 20, 30 + 14 * number, 40), fill=hue)
    shown = Quantiser([image]).mapped(256, 0.8)[0].convert("RGB")
    for number, hue in enumerate(hues):
        found = np.asarray(shown)[25:35, 22 + 14 * number : 28 + 14 * number].reshape(-1, 3)
        assert np.abs(found.mean(axis=0) - hue).max() < 8


def test_a_soft_shadow_has_no_rings(way: str) -> None:
    """The mean of each 8 x 8 pixels is that of the source, though there are but 16 colours."""
    if way == "pixels":
        pytest.skip("without the library, what has alpha is not diffused")
    ramp = np.zeros((64, 256, 4), dtype=np.uint8)
    ramp[..., 3] = np.arange(256)[None, ::-1]
    image = Image.fromarray(ramp)
    reducing = Quantiser([image])
    means = [
        np.asarray(one.convert("RGBA"))[..., 3].reshape(8, 8, 32, 8).mean(axis=(1, 3))
        for one in (image, reducing.mapped(16, 0)[0], reducing.mapped(16, 0.8)[0])
    ]
    flat, diffused = (np.abs(means[0] - mean).mean() for mean in means[1:])
    assert diffused < flat / 2


def test_flat_areas_stay_flat() -> None:
    image = photo().copy()
    ImageDraw.Draw(image).rectangle((0, 0, 240, 80), fill="white")
    shown = Quantiser([image]).mapped(64, 0.8)[0].convert("RGB")
    assert shown.crop((0, 0, 240, 80)).getcolors() == [(240 * 80, (255, 255, 255))]


@pytest.mark.usefixtures("many")
def test_few_colours_are_exact_in_every_band() -> None:
    image = drawing(300, 200).quantize(16).convert("RGB")
    indexed = quantiser.exactly_indexed([image, image.rotate(180)])
    assert indexed is not None
    assert [
        difference(one, other)
        for one, other in zip(indexed, [image, image.rotate(180)], strict=True)
    ] == [0, 0]


def test_frames_that_have_too_many_colours_together_have_no_exact_palette() -> None:
    frames = [Image.new("RGB", (8, 8), (number, number // 3, 7)) for number in range(250)]
    assert quantiser.exactly_indexed(frames) is not None
    frames += [Image.new("RGB", (8, 8), (0, number, 9)) for number in range(7)]
    assert quantiser.exactly_indexed(frames) is None


@pytest.mark.parametrize("falls", [0, 4, 8, 12, 28, 96])
def test_the_most_colours_that_fit_are_found_though_bytes_fall_in_a_jump(falls: int) -> None:
    def size(colours: int) -> int:
        return round(100_000 * (colours / 256) ** 0.3) if colours > falls else 2_000 + colours

    for budget in range(10_000, 100_000, 5_000):
        fitting = [colours for colours in COLOURS if size(colours) <= budget]
        if not fitting:
            continue
        tried: list[int] = []

        def encode(colours: int, dither: float) -> bytes:
            tried.append(colours)
            return bytes(size(colours))

        found = most_colours(encode, lambda _: 0.0, EncodeTarget(budget, floor=1), dither=0)
        assert found.size == size(fitting[0])
        assert len(tried) <= 6
