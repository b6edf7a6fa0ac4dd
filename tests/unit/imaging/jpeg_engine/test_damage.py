"""Damaged files: the same verdict by the engine as without it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcompress.errors import ImageError
from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.jpeg_engine.library import Rejected, coefficients, requantise
from imgcompress.imaging.jpeg_engine.recompress import FINEST

from .sources import pixels, source

SEEDS = {
    "4:2:0": source((301, 203), "4:2:0"),
    "4:4:4": source((17, 33), "4:4:4", "optimised"),
    "progressive": source((301, 203), "4:2:0", "progressive"),
    "small": source((17, 33), "4:2:2", "progressive restarts"),
    "restarts": source((301, 203), "4:2:0", "restarts in rows"),
    "grey": source((7, 9), "grey"),
}


def damaged(seed, data, most=3):
    changed = bytearray(seed)
    for _ in range(data.draw(st.integers(1, most))):
        changed[data.draw(st.integers(2, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed)


@pytest.mark.parametrize("seed", SEEDS)
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_input_with_libjpeg_warnings_is_rejected(seed, data):
    source_data = damaged(SEEDS[seed], data)
    try:
        made = requantise(source_data, FINEST)
    except Rejected:
        return
    assert made.lossless
    # An error where libjpeg has so much as a warning.
    try:
        assert (pixels(source_data) == pixels(made.data)).all()
    except ValueError as error:
        # It does not know all samplings of grey images, and warns of numbers that change nothing.
        assert re.search("subsampling level|JFIF revision", str(error))
    assert coefficients(source_data) == coefficients(made.data)


@pytest.mark.parametrize("seed", SEEDS)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_is_judged_the_same_by_way_of_pixels(seed, data):
    source_data = damaged(SEEDS[seed], data)
    ours, theirs = (verdict(source_data, engine) for engine in (True, False))
    assert ours == theirs


def verdict(data, engine):
    try:
        result = compress(data, CompressOptions(quality=50, max_pixels=200_000, jpeg_engine=engine))
    except ImageError as error:
        return error.code
    return result.format, result.width, result.height
