"""Of a JPEG with several pictures the main one remains: MPO, and Ultra HDR with its gain map."""

import struct

import pytest
from PIL import Image, ImageOps

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.containers import jpeg

from tests.support.images import animated, difference, drawing, encoded, opened, photo

MPF, GAIN_MAP = b"MPF\0", b"http://ns.adobe.com/hdr-gain-map/1.0/"


def mpo(quality=95, **settings):
    """Return the photo, and another view of it, as stereo cameras write them."""
    other = ImageOps.mirror(photo())
    return animated("MPO", [photo(), other], quality=quality, **settings)


def ultra_hdr(quality=95):
    """Return the photo with a gain map behind it, as Android's cameras write them.

    XMP and MPF announce it (Ultra HDR Image Format 1.1).
    """
    gain = encoded(photo(120, 80).convert("L"), "JPEG", quality=80)
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
        b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:hdrgm="'
        + GAIN_MAP
        + b'" hdrgm:Version="1.0"/></rdf:RDF></x:xmpmeta>'
    )
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    base = encoded(photo(), "JPEG", quality=quality)
    entries = 2 + 12 * 3 + 4
    main_size = len(base) + 4 + len(xmp) + 4 + 4 + 8 + entries + 32
    index = b"II*\0" + struct.pack("<IH", 8, 3)
    index += struct.pack("<HHI4s", 0xB000, 7, 4, b"0100") + struct.pack("<HHII", 0xB001, 4, 1, 2)
    index += struct.pack("<HHIII", 0xB002, 7, 32, 8 + entries, 0)
    index += struct.pack("<IIIHH", 0x030000, main_size, 0, 0, 0)
    # Offsets count from the byte order mark of this segment.
    index += struct.pack("<IIIHH", 0, len(gain), main_size - 2 - 4 - len(xmp) - 8, 0, 0)
    parts = (b"\xe1", xmp), (b"\xe2", MPF + index)
    markers = b"".join(
        b"\xff" + kind + struct.pack(">H", 2 + len(body)) + body for kind, body in parts
    )
    return base[:2] + markers + base[2:] + gain


PHOTOS = {"MPO": mpo, "Ultra HDR": ultra_hdr}


def pictures(data):
    """Return how many JPEGs a file has, one behind the other."""
    found = list(jpeg.segments(data))
    rest = data[found[-1].end :]
    return 1 + (pictures(rest) if rest.startswith(b"\xff\xd8") else 0)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(
    "options",
    [{}, {"compression_percentage": 1}, {"quality": 60}, {"max_width": 120}, {"format": "auto"}],
    ids=str,
)
def test_the_main_picture_remains(name, options):
    data = PHOTOS[name]()
    assert pictures(data) == 2 and MPF in data
    result = compress(data, CompressOptions(**options))
    shown = opened(result.data)
    main = photo().resize(shown.size, Image.Resampling.LANCZOS)
    assert difference(shown, main) < 8
    if result.format == "jpeg":
        assert shown.format == "JPEG"
        assert pictures(result.data) == 1
        assert result.data.endswith(b"\xff\xd9")
    assert not any(trace in result.data for trace in (MPF, b"hdrgm", b"Exif", b"xap/1.0"))


@pytest.mark.parametrize("name", PHOTOS)
def test_a_copy_of_the_main_picture_has_nothing_of_the_others(name):
    data = PHOTOS[name](quality=5)
    result = compress(data, CompressOptions(1))
    assert result.quality is None
    assert pictures(result.data) == 1
    assert MPF not in result.data and len(result.data) < len(data)


def test_the_other_pictures_of_an_mpo_count_as_nothing():
    data = animated("MPO", [drawing(64, 48), photo(400, 300)], quality=90)
    result = compress(data, CompressOptions(max_pixels=64 * 48))
    assert (result.width, result.height) == (64, 48)


def test_a_turned_mpo_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    result = compress(mpo(exif=exif.tobytes()), CompressOptions(20))
    assert difference(opened(result.data), photo().transpose(Image.Transpose.ROTATE_270)) < 6
