"""The engine reads every coefficient as libjpeg-turbo does, and writes what that reads again."""

import pytest

from imgcompress.imaging.jpeg_engine.library import coefficients, inspect, requantise
from imgcompress.imaging.jpeg_engine.recompress import FINEST

from .sources import CODINGS, SAMPLINGS, SIZES, pixels, source


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("coding", CODINGS)
def test_an_image_that_keeps_its_steps_keeps_its_pixels(size, sampling, coding):
    data = source(size, sampling, coding)
    made = requantise(data, FINEST)
    assert made.lossless
    assert (pixels(made.data) == pixels(data)).all()
    assert coefficients(made.data) == coefficients(data)


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "grey"])
@pytest.mark.parametrize("coding", CODINGS)
def test_every_coding_has_the_same_coefficients(sampling, coding):
    """Encoders do the same sums, in whatever order the coefficients are written then."""
    assert coefficients(source((320, 208), sampling, coding)) == coefficients(
        source((320, 208), sampling)
    )


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_headers_are_read(sampling):
    facts = inspect(source((301, 203), sampling))
    assert (facts.width, facts.height) == ((203, 301) if sampling == "4:4:0" else (301, 203))
    assert (
        list(facts.sampling)[: facts.components]
        == {
            "4:4:4": [0x11, 0x11, 0x11],
            "4:2:2": [0x21, 0x11, 0x11],
            "4:2:0": [0x22, 0x11, 0x11],
            "4:4:0": [0x12, 0x11, 0x11],
            "grey": [0x11],
        }[sampling]
    )
    assert not facts.progressive and facts.restart_interval == 0
    assert inspect(source((301, 203), sampling, "progressive")).progressive
    assert inspect(source((301, 203), sampling, "restarts")).restart_interval == 3


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("step", [3.0, 40.0, 64.0, 200.0, 3000.0])
def test_libjpeg_reads_every_result_without_a_warning(size, sampling, coding, step):
    data = source(size, sampling, coding)
    made = requantise(data, step)
    assert pixels(made.data).shape == pixels(data).shape


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0", "grey"])
@pytest.mark.parametrize("coding", ["baseline", "progressive", "restarts"])
@pytest.mark.parametrize("step", [FINEST, 40.0])
def test_one_pass_output_has_the_same_coefficients(sampling, coding, step):
    data = source((301, 203), sampling, coding)
    usual, at_once = requantise(data, step), requantise(data, step, at_once=True)
    assert coefficients(at_once.data) == coefficients(usual.data)
    assert pixels(at_once.data).shape == pixels(data).shape
    assert (at_once.step, at_once.lossless) == (usual.step, usual.lossless)
    assert len(at_once.data) >= len(usual.data)


def test_one_pass_output_is_turned_too():
    data = source((320, 208), "4:2:2")
    made = [requantise(data, 40.0, orientation=6, at_once=at_once) for at_once in (False, True)]
    assert coefficients(made[0].data) == coefficients(made[1].data)


def test_a_result_is_as_if_the_coefficients_had_been_divided():
    data = source((301, 203), "4:2:0")
    step = 64.0
    made = requantise(data, step)
    old, new = coefficients(data), coefficients(made.data)
    before, after = tables(data), tables(made.data)
    # MCUs of four blocks of luma and two of chroma.
    for block in range(len(old) // 64):
        table = 0 if block % 6 < 4 else 1
        for place in range(64):
            value, level = old[64 * block + place], new[64 * block + place]
            share = abs(value) * before[table][place] / after[table][place]
            if place and share < 0.6299:
                assert level == 0
            elif place and share > 0.6301:
                assert abs(level) in (int(share + 0.4199), int(share + 0.4201))
            elif not place:
                assert abs(level) in (int(share + 0.4999), int(share + 0.5001))
            assert level * value >= 0


def tables(data):
    """Return the two tables of steps as they stand in the file, in zigzag order."""
    found, at = {}, 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if data[at + 1] == 0xDB:
            for start in range(0, len(body), 65):
                found[body[start]] = list(body[start + 1 : start + 65])
        at += 2 + length
    return found
