"""The segments of JPEGs, sound and odd, are those that a plain walk over the bytes finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcompress.imaging.containers import jpeg

from tests.support.images import encoded, photo

pytestmark = pytest.mark.one_way

SOS, EOI = 0xDA, 0xD9
STANDALONE = (0x01, *range(0xD0, EOI))
WITHIN_SCANS = (0x00, *range(0xD0, 0xD8), 0xFF)
SEEDS = {
    "sequential": encoded(photo(40, 24), "JPEG"),
    "progressive": encoded(photo(40, 24), "JPEG", progressive=True),
    "restarts": encoded(photo(64, 48), "JPEG", restart_marker_blocks=1),
}
ODD = {
    "nothing": b"",
    "SOI alone": b"\xff\xd8",
    "SOS alone": b"\xff\xd8\xff\xda",
    "FF at the end": b"\xff\xd8\xff\xda\x00\x02\x01\xff",
    "a scan that ends with the data": b"\xff\xd8\xff\xda\x00\x02\x01\xff\x00\xff\xd3\x02",
    "fill bytes before EOI": b"\xff\xd8\xff\xda\x00\x02\x01\xff\xff\xff\xd9",
    "fill bytes after a restart": b"\xff\xd8\xff\xda\x00\x02\xff\xd0\xff\xff\xd1\x03\xff\xd9",
    "two scans": b"\xff\xd8\xff\xda\x00\x02\x01\xff\xd7\xff\xda\x00\x03\x00\x02\xff\x00\xff\xd9",
    "a header as long as the data": b"\xff\xd8\xff\xda\xff\xff\x01\xff\xd9",
    "more behind EOI": SEEDS["sequential"] + SEEDS["progressive"],
}
PIECES = st.sampled_from(
    [
        bytes((0xFF, marker))
        for marker in (0x00, 0x01, 0xC0, 0xC4, 0xCF, 0xD0, 0xD7, 0xD8, EOI, SOS, 0xFE, 0xFF)
    ]
) | st.binary(max_size=3)


def walked(data):
    position = 2
    while True:
        position = data.find(b"\xff", position)
        while position >= 0 and data[position + 1 : position + 2] == b"\xff":
            position += 1
        if position < 0 or position + 1 == len(data):
            return
        if data[position + 1] == 0:
            position += 2
            continue
        marker, end = data[position + 1], end_of_segment(data, position)
        yield marker, position, end
        if marker == EOI:
            return
        position = end


def end_of_segment(data, start):
    marker = data[start + 1]
    if marker == EOI or marker in STANDALONE:
        return start + 2
    end = start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))
    if marker == SOS:
        end = next(
            (
                place
                for place in range(end, len(data) - 1)
                if data[place] == 0xFF and data[place + 1] not in WITHIN_SCANS
            ),
            len(data),
        )
    return min(end, len(data))


@pytest.mark.parametrize("data", [*SEEDS.values(), *ODD.values()], ids=[*SEEDS, *ODD])
def test_the_segments_of_a_file(data):
    assert list(jpeg.segments(data)) == list(walked(data))


@pytest.mark.parametrize("seed", SEEDS)
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_the_segments_of_a_file_with_other_bytes_put_in(seed, data):
    damaged = SEEDS[seed]
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(damaged)))
        damaged = (
            damaged[:place] + data.draw(PIECES) + damaged[place + data.draw(st.integers(0, 2)) :]
        )
    assert list(jpeg.segments(damaged)) == list(walked(damaged))


@pytest.mark.parametrize(
    "segment, most",
    [(b"\xff\xda\x00\x02\x01", jpeg.MAX_SCANS), (b"\xff\xfe\x00\x02", jpeg.MAX_SEGMENTS - 1)],
)
def test_too_many_segments_are_rejected(segment, most, raises):
    assert len(list(jpeg.segments(b"\xff\xd8" + segment * most + b"\xff\xd9"))) == most + 1
    with raises("corrupt_image"):
        list(jpeg.segments(b"\xff\xd8" + segment * (most + 1) + b"\xff\xd9"))
