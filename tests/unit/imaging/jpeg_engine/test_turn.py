"""Images are turned upright in their coefficients, and their edges moved."""

import numpy as np
import pytest
from PIL import Image

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.decode import UPRIGHT
from imgcompress.imaging.jpeg_engine.library import Rejected, coefficients, requantise
from imgcompress.imaging.jpeg_engine.recompress import FINEST

from .sources import pixels, source
from tests.support.images import difference, encoded, opened, photo

TURNS = sorted(UPRIGHT)
BACK = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def as_image(data):
    values = pixels(data)
    return Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "grey"])
@pytest.mark.parametrize("coding", ["baseline", "progressive", "restarts"])
def test_a_turned_image_shows_the_turned_pixels(turn, sampling, coding):
    data = source((320, 208), sampling, coding)
    made = requantise(data, FINEST, orientation=turn)
    expected = np.asarray(as_image(data).transpose(UPRIGHT[turn]), dtype=np.int16)
    found = np.asarray(as_image(made.data), dtype=np.int16)
    assert made.lossless and found.shape == expected.shape
    # The inverse DCT rounds rows and columns one after the other.
    assert np.abs(found - expected).max() <= 4 and np.abs(found - expected).mean() < 0.1


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "grey"])
def test_a_turn_that_is_undone_leaves_every_coefficient(turn, sampling):
    data = source((320, 208), sampling)
    there = requantise(data, FINEST, orientation=turn).data
    back = requantise(there, FINEST, orientation=BACK[turn]).data
    assert coefficients(back) == coefficients(data)


@pytest.mark.parametrize(
    "turn, width, height", [(2, 301, 208), (3, 320, 203), (6, 320, 203), (7, 301, 208)]
)
def test_chroma_that_would_move_by_half_a_sample_is_rejected(turn, width, height):
    with pytest.raises(Rejected, match="edges"):
        requantise(source((width, height), "4:2:0"), FINEST, orientation=turn)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    "size, sampling",
    [((312, 200), "4:2:0"), ((302, 214), "4:2:0"), ((312, 203), "4:2:2"), ((301, 203), "4:4:4")],
)
def test_an_edge_that_ends_within_an_mcu_moves_to_the_other_side(turn, size, sampling):
    data = source(size, sampling, quality=95)
    made = requantise(data, FINEST, orientation=turn)
    shown = as_image(made.data)
    expected = as_image(data).transpose(UPRIGHT[turn])
    assert shown.size == expected.size
    assert difference(shown, expected) < 3
    # Not even the last lines differ more, at which pixels are repeated.
    for box in ((0, 0, 8, shown.height), (shown.width - 8, 0, shown.width, shown.height)):
        assert difference(shown.crop(box), expected.crop(box)) < 4


def test_a_smooth_image_moves_exactly():
    ramp = np.add.outer(np.arange(204) // 2, np.arange(300) // 2).astype(np.uint8)
    data = encoded(Image.fromarray(ramp), "JPEG", quality=100)
    for turn in (3, 6):
        made = requantise(data, FINEST, orientation=turn)
        assert difference(as_image(made.data), as_image(data).transpose(UPRIGHT[turn])) < 0.6


def test_edges_take_few_more_bytes_than_by_way_of_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(612, 404), "JPEG", quality=92, exif=exif)
    ours = compress(data, CompressOptions(quality=60))
    theirs = compress(data, CompressOptions(quality=60, jpeg_engine=False))
    assert ours.jpeg_engine == "used"
    assert len(ours.data) < len(theirs.data)
    assert ours.score == pytest.approx(theirs.score, abs=15)


@pytest.mark.parametrize(
    "turn, width, height",
    [(2, 320, 203), (4, 301, 208), (5, 301, 203), (6, 301, 208), (8, 320, 203)],
)
def test_the_other_edges_may_be_as_they_are(turn, width, height):
    data = source((width, height), "4:2:0")
    shown = as_image(requantise(data, FINEST, orientation=turn).data)
    assert difference(shown, as_image(data).transpose(UPRIGHT[turn])) < 0.1


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("options", [CompressOptions(), CompressOptions(quality=60)])
def test_a_photo_comes_out_upright(turn, options):
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(photo(320, 208), "JPEG", quality=90, exif=exif)
    result = compress(data, options)
    assert result.jpeg_engine == "used" and result.outcome == "target_met"
    shown = opened(result.data)
    assert shown.size == (result.width, result.height)
    assert not shown.getexif()
    assert difference(shown, photo(320, 208).transpose(UPRIGHT[turn])) < 6


def test_a_turned_photo_is_fitted_into_the_box_of_the_upright_one():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(320, 208), "JPEG", quality=90, exif=exif)
    assert compress(data, CompressOptions(max_width=208)).jpeg_engine == "used"
    assert compress(data, CompressOptions(max_width=207)).jpeg_engine == "resized"


def test_the_source_is_not_passed_on_as_it_is_where_it_has_to_be_turned():
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encoded(photo(320, 208), "JPEG", quality=20, exif=exif, comment=b"x" * 30_000)
    result = compress(data, CompressOptions())
    assert (result.outcome, result.jpeg_engine) == ("target_met", "used")
    assert difference(opened(result.data), opened(data).transpose(UPRIGHT[3])) < 0.2
