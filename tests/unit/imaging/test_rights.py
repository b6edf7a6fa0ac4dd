"""`metadata=rights`: creator, copyright, licence and source type are kept, and nothing else."""

import io
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from imgcompress.imaging import CompressOptions, compress
from imgcompress.imaging.containers.metadata import find, inserted
from imgcompress.imaging.rights import MAX_CHARS, MAX_CREATORS, rights_of

from tests.support.images import animated, cutout, difference, encoded, frames, opened, photo

RIGHTS = CompressOptions(metadata="rights")
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
LICENCE = "https://creativecommons.org/licenses/by/4.0/"
ARTIST, COPYRIGHT, MAKE, SERIAL, GPS = 315, 33432, 271, 0xA431, 0x8825


def packet(properties, spaces=""):
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"'
        ' xmlns:cc="http://creativecommons.org/ns#"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmlns:exif="http://ns.adobe.com/exif/1.0/"{spaces}>{properties}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


XMP = packet(
    "<dc:creator><rdf:Seq><rdf:li>Ada &amp; Co</rdf:li><rdf:li>Zoë</rdf:li></rdf:Seq></dc:creator>"
    '<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© 2026 Ada</rdf:li></rdf:Alt></dc:rights>'
    f"<xmpRights:WebStatement>{LICENCE}</xmpRights:WebStatement>"
    '<xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang="en">Name us</rdf:li></rdf:Alt>'
    f'</xmpRights:UsageTerms><cc:license rdf:resource="{LICENCE}"/>'
    f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>"
    "<exif:GPSLatitude>52,31.2N</exif:GPSLatitude>"
)


def exif(artist="Ada", notice="(c) Ada"):
    tags = Image.Exif()
    tags[ARTIST], tags[COPYRIGHT], tags[MAKE] = artist, notice, "Camera 7"
    tags.get_ifd(0x8769)[SERIAL] = "SN-123456"
    tags.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0)})
    return tags.tobytes()


def with_metadata(image, format, xmp=XMP, **settings):
    if format == "PNG":
        settings["pnginfo"] = PngImagePlugin.PngInfo()
        settings["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)
        return encoded(image, "PNG", exif=exif(), **settings)
    return encoded(image, format, exif=exif(), xmp=xmp, **settings)


def tags_of(data):
    """Return the tags as Pillow reads them; of an animated AVIF it reads those of the track alone."""
    if data[4:12] == b"ftypavis":
        tags = Image.Exif()
        tags.load(find(data, "avif").exif)
        return dict(tags)
    return dict(opened(data).getexif())


def packet_of(data):
    return find(data, opened(data).format.lower()).xmp.decode()


def check(data):
    """Check that an output has all rights of the sources above, and none of the rest."""
    assert tags_of(data) == {ARTIST: "Ada", COPYRIGHT: "(c) Ada"}
    xmp = packet_of(data)
    for text in ("Ada &amp; Co", "Zoë", "© 2026 Ada", "Name us", LICENCE, SOURCE_TYPE):
        assert text in xmp
    assert xmp.count(LICENCE) == 2
    for text in (b"SN-123456", b"GPS", b"52,31", b"Camera"):
        assert text not in data


@pytest.mark.parametrize("engine", [True, False])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_rights_are_kept_and_nothing_else(source, engine):
    data = with_metadata(photo(600, 400), source, quality=92)
    options = CompressOptions(metadata="rights", jpeg_engine=engine)
    made, plain = compress(data, options), compress(data, replace(options, metadata="none"))
    check(made.data)
    assert made.outcome == plain.outcome == "target_met"
    assert len(made.data) <= len(data) // 2
    assert difference(opened(made.data), opened(plain.data)) < 3
    assert len(tags_of(plain.data)) == 0 and not find(plain.data, source.lower()).xmp


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif", "auto"])
def test_rights_go_into_every_format(source, format):
    if source == "TIFF":
        tags = Image.Exif()
        tags[ARTIST], tags[COPYRIGHT], tags[700] = "Ada", "(c) Ada", XMP
        data = encoded(photo(300, 200), "TIFF", exif=tags)
    else:
        data = with_metadata(photo(300, 200), source, quality=92)
    made = compress(data, CompressOptions(metadata="rights", format=format))
    check(made.data)
    assert difference(opened(made.data), photo(300, 200)) < 12


@pytest.mark.parametrize("format", ["webp", "avif", "png"])
def test_alpha_and_animations_are_kept(format):
    alpha = compress(
        with_metadata(cutout(), "PNG"), CompressOptions(metadata="rights", format=format)
    )
    check(alpha.data)
    assert "A" in opened(alpha.data).convert("RGBA").getbands()
    assert difference(opened(alpha.data), cutout()) < 8
    moving = frames()
    data = animated("WEBP", moving, exif=exif(), xmp=XMP)
    made = compress(data, CompressOptions(metadata="rights", format=format))
    check(made.data)
    again = Image.open(io.BytesIO(made.data))
    assert again.n_frames == len(moving)
    for number, frame in enumerate(moving):
        again.seek(number)
        assert difference(again.convert("RGB"), frame) < 20


@pytest.mark.parametrize("save_all", [False, True])
def test_a_gif_keeps_them_as_xmp(save_all):
    plain = animated("GIF", frames()) if save_all else encoded(photo(), "GIF")
    data = inserted(plain, "gif", b"", XMP)
    made = compress(data, RIGHTS)
    assert "© 2026 Ada" in packet_of(made.data) and b"GPS" not in made.data
    named, begins = opened(made.data).info["extension"]
    assert named == b"XMP DataXMP" and made.data[begins:].startswith(b"<?xpacket")
    assert opened(made.data).n_frames == (6 if save_all else 1)
    assert difference(opened(made.data), opened(data)) < 20


def test_pixels_that_are_copied_get_them_too():
    """A file that cannot become smaller keeps its compressed pixels, and its rights."""
    data = with_metadata(photo(300, 200), "WEBP", quality=5)
    made = compress(data, RIGHTS)
    assert made.outcome == "already_small" and made.score == 100
    check(made.data)
    assert len(made.data) < len(data)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_profile_and_an_orientation_do_not_disturb_them(orientation):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = Image.Exif()
    tags.load(exif())
    tags[0x0112] = orientation
    data = encoded(photo(320, 240), "JPEG", quality=92, exif=tags, xmp=XMP, icc_profile=profile)
    made = compress(data, RIGHTS)
    check(made.data)
    assert (made.width, made.height) == ((320, 240) if orientation == 1 else (240, 320))


def iim(*records, utf8=False):
    records = ((1, 90, b"\x1b%G"), *records) if utf8 else records
    body = b"".join(
        struct.pack(">BBBH", 0x1C, record, kind, len(text)) + text for record, kind, text in records
    )
    resource = b"8BIM" + struct.pack(">H", 0x0404) + b"\0\0" + struct.pack(">I", len(body)) + body
    return b"Photoshop 3.0\0" + b"8BIM\x04\x25\0\0" + struct.pack(">I", 3) + b"abc\0" + resource


@pytest.mark.parametrize("utf8", [True, False])
def test_a_by_line_and_a_notice_of_iptc_iim_go_into_xmp(utf8):
    coding = "utf-8" if utf8 else "latin-1"
    block = iim(
        (2, 80, "Zoë".encode(coding)),
        (2, 90, b"Berlin"),
        (2, 116, "© Zoë".encode(coding)),
        utf8=utf8,
    )
    data = encoded(photo(300, 200), "JPEG", quality=92)
    data = data[:2] + struct.pack(">HH", 0xFFED, len(block) + 2) + block + data[2:]
    xmp = packet_of(compress(data, RIGHTS).data)
    assert "<rdf:li>Zoë</rdf:li>" in xmp and "© Zoë" in xmp and "Berlin" not in xmp


HOSTILE = {
    "a script": packet("<dc:rights>&lt;script&gt;alert(1)&lt;/script&gt;</dc:rights>"),
    "an entity": b'<!DOCTYPE a [<!ENTITY b "bbbb">]>' + XMP.replace(b"Zo", b"&b;"),
    "a URL that runs": packet(
        "<xmpRights:WebStatement>javascript:alert(1)</xmpRights:WebStatement>"
    ),
    "no source type": packet(
        "<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/../x"
        "</Iptc4xmpExt:DigitalSourceType>"
    ),
    "not XML": b"<x:xmpmeta><dc:rights>Ada",
    "UTF-16": XMP.decode().encode("utf-16"),
    "deep": b"<a>" * 20_000 + b"</a>" * 20_000,
    "of another picture": packet(
        '<exif:Pantry><rdf:Description dc:rights="someone else"/></exif:Pantry>'
    ),
}


@pytest.mark.parametrize("xmp", HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_hostile_metadata_comes_out(xmp):
    data = encoded(photo(300, 200), "WEBP", quality=92, xmp=xmp)
    made = compress(data, RIGHTS)
    assert made.outcome == "target_met"
    assert not find(made.data, "webp").xmp
    assert made == compress(data, CompressOptions())


def test_texts_are_cut_and_cleaned():
    creators = "".join(f"<rdf:li>{'x' * 999} {n}</rdf:li>" for n in range(99))
    xmp = packet(
        f"<dc:creator><rdf:Seq>{creators}</rdf:Seq></dc:creator><dc:rights>a\n\tb\u202e"
        + "&#x2028;c" * 9_000
        + "</dc:rights>"
    )
    rights = rights_of(encoded(photo(), "WEBP", xmp=xmp))
    assert rights.xmp.count(b"<rdf:li>") == MAX_CREATORS
    assert b"a b c c c" in rights.xmp and b"\xe2\x80" not in rights.xmp
    assert len(rights.xmp) < 10 * MAX_CHARS


def test_a_text_of_exif_that_another_program_could_run_is_left_out():
    tags = Image.Exif()
    tags[ARTIST], tags[COPYRIGHT] = "<?php system(1) ?>", "(c)\r\nAda\x07"
    made = compress(encoded(photo(300, 200), "JPEG", quality=92, exif=tags), RIGHTS)
    assert tags_of(made.data) == {COPYRIGHT: "(c) Ada"}
    assert b"php" not in made.data


def test_a_small_image_does_not_grow_by_them():
    small = encoded(Image.new("RGB", (8, 8), "red"), "GIF")
    data = inserted(small, "gif", b"", packet("<dc:rights>Ada</dc:rights>"))
    made = compress(data, RIGHTS)
    assert len(made.data) <= len(data)
    made = compress(encoded(Image.new("RGB", (8, 8), "red"), "PNG", exif=exif("A" * 900)), RIGHTS)
    assert tags_of(made.data)[ARTIST] == "A" * 900


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_metadata_fails_no_image(data):
    """A byte of the metadata is changed, or bytes are cut out; what comes out can be read."""
    source = data.draw(st.sampled_from(DAMAGED))
    at = data.draw(st.integers(20, min(len(source) - 1, 4_000)))
    byte = data.draw(st.binary(min_size=1, max_size=4))
    rights = rights_of(source[:at] + byte + source[at + 1 :])
    if rights.xmp:
        assert b"xpacket" in rights.xmp and len(rights.xmp) < 20_000
    assert len(rights.exif) < 5_000


DAMAGED = [with_metadata(photo(30, 20), format) for format in ("JPEG", "PNG", "WEBP", "AVIF")]
