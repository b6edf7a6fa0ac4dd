"""Palettes: exact where they can be, and chosen from some of the pixels where there are many."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imgcompress.imaging.encoders import palette

from .images import cutout, difference, drawing, frames, photo

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
    """Let few pixels count as many, and look at fewer of them at once than an image has."""
    monkeypatch.setattr(palette, "PIXELS_TO_CHOOSE_FROM", 4_000)
    monkeypatch.setattr(palette, "PIXELS_AT_ONCE", 5_000)


@pytest.mark.parametrize("colours", [64, 256])
@pytest.mark.parametrize("name", PICTURES)
def test_colours_of_many_pixels_are_chosen_about_as_well(
    name: str, colours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = palette.chosen(PICTURES[name], colours)
    monkeypatch.setattr(palette, "PIXELS_TO_CHOOSE_FROM", 4_000)
    monkeypatch.setattr(palette, "PIXELS_AT_ONCE", 5_000)
    many = palette.chosen(PICTURES[name], colours)
    assert len(many) == len(PICTURES[name])
    for before, one, other in zip(PICTURES[name], few, many, strict=True):
        assert other.mode == "P" and len(other.getcolors()) <= colours + 2
        assert difference(other, before) < difference(one, before) + 2


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("name", ["cutout", "turning"])
def test_what_is_clear_or_solid_among_many_pixels_stays_so(name: str) -> None:
    for before, after in zip(PICTURES[name], palette.chosen(PICTURES[name], 64), strict=True):
        alpha, shown = (np.asarray(image.convert("RGBA"))[..., 3] for image in (before, after))
        assert (shown[alpha == 0] == 0).all()
        assert (shown[alpha == 255] == 255).all()


@pytest.mark.usefixtures("many")
def test_few_colours_are_exact_in_every_band() -> None:
    image = drawing(300, 200).quantize(16).convert("RGB")
    indexed = palette.exact([image, image.rotate(180)])
    assert indexed is not None
    assert [
        difference(one, other)
        for one, other in zip(indexed, [image, image.rotate(180)], strict=True)
    ] == [0, 0]


def test_frames_that_have_too_many_colours_together_have_no_exact_palette() -> None:
    frames = [Image.new("RGB", (8, 8), (number, number // 3, 7)) for number in range(250)]
    assert palette.exact(frames) is not None
    frames += [Image.new("RGB", (8, 8), (0, number, 9)) for number in range(7)]
    assert palette.exact(frames) is None
