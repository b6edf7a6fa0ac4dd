"""Tell what a file is from its first bytes; the name and the Content-Type are never believed."""

from __future__ import annotations

import re

from ...errors import ImageError

HEAD = 1024

_DECODED = (
    ("jpeg", re.compile(rb"\xff\xd8\xff")),
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("gif", re.compile(rb"GIF8[79]a")),
    ("tiff", re.compile(rb"II\*\x00|MM\x00\*")),
    # The header's own length follows the 14 bytes of the file header: text may start with BM too.
    ("bmp", re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL)),
    ("avif", re.compile(rb"....ftyp(?:avif|avis)", re.DOTALL)),
)
_AVIF_COMPATIBLE = re.compile(rb"\x00\x00..ftyp(?:mif1|msf1|miaf)", re.DOTALL)
_OTHER_IMAGES = (
    ("HEIC", re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)),
    ("JPEG XL", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL ")),
    ("JPEG 2000", re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51")),
    ("BigTIFF", re.compile(rb"II\+\x00|MM\x00\+")),
    ("Photoshop (PSD)", re.compile(rb"8BPS")),
    ("ICO", re.compile(rb"\x00\x00[\x01\x02]\x00[^\x00]\x00")),
    ("PostScript (EPS)", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
    ("SVG", re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.{0,512}|<!--.{0,512})?"
                       rb"(?:<!DOCTYPE\s+svg|<svg[\s>])", re.DOTALL | re.IGNORECASE)),
)
_NO_IMAGES = (
    ("an empty file (0 bytes)", re.compile(rb"\Z")),
    ("a PDF document (application/pdf)", re.compile(rb"%PDF")),
    ("a ZIP archive (application/zip)", re.compile(rb"PK\x03\x04")),
    ("gzip data (application/gzip)", re.compile(rb"\x1f\x8b")),
    ("a video (video/mp4)", re.compile(rb"....ftyp", re.DOTALL)),
    ("a video (video/webm)", re.compile(rb"\x1aE\xdf\xa3")),
    ("an HTML page (text/html)", re.compile(
        rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{0,512}-->\s*)?<(?:!DOCTYPE\s+html|html|head|body|script|"
        rb"title|meta|div|h1|p)\b", re.DOTALL | re.IGNORECASE)),
    ("an XML document (text/xml)", re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml")),
    ("JSON (application/json)", re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]\s*[\"\]}\[{0-9]")),
    ("plain text (text/plain)", re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]{1,1024}\Z")),
)


def identify(data: bytes) -> str:
    """Return the format of an image that is decoded here: jpeg, png, webp, gif, tiff, bmp or avif.

    Raise ImageError `unsupported_format` for another image, `not_an_image` for anything else;
    both say what was found.
    """
    head = data[:HEAD]
    found = _first_match(_DECODED, head) or _compatible_avif(head)
    if found:
        return found
    other = _first_match(_OTHER_IMAGES, head)
    if other:
        raise ImageError("unsupported_format", f"The image is {other}")
    what = _first_match(_NO_IMAGES, head) or "data of an unknown kind"
    raise ImageError("not_an_image", f"The URL returns {what}")


def _first_match(table: tuple[tuple[str, re.Pattern[bytes]], ...], head: bytes) -> str | None:
    return next((name for name, pattern in table if pattern.match(head)), None)


def _compatible_avif(head: bytes) -> str | None:
    """Know an AVIF whose major brand is a general one by its list of compatible brands."""
    if not _AVIF_COMPATIBLE.match(head):
        return None
    brands = head[16:int.from_bytes(head[:4], "big")]
    return "avif" if b"avif" in brands or b"avis" in brands else None
