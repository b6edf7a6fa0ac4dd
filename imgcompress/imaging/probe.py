"""Identify an image by its bytes, and read its properties before it is decoded."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from math import prod

from PIL import Image

from ..catalogue import SIGNATURES
from ..errors import ImageError
from .colours import HighRange, from_cicp
from .containers import avif, gif, heic, heif, jpeg, png, tiff, webp
from .errors import decoder_errors
from .options import CompressOptions
from .turbo import is_sound

HEAD = 1024

_DECODED = (
    *((name, SIGNATURES[name]) for name in ("jpeg", "png", "webp", "gif", "tiff")),
    # The header's own length follows the 14 bytes of the file header: text may start with BM too.
    ("bmp", re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL)),
    ("avif", re.compile(rb"....ftyp(?:avif|avis)", re.DOTALL)),
)
_AVIF_COMPATIBLE = re.compile(rb"\x00\x00..ftyp(?:mif1|msf1|miaf)", re.DOTALL)
_HEIF = re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)
_OTHER_IMAGES = (
    ("HEIC; the operator can install support for it (imgcompress[heif])", _HEIF),
    ("JPEG XL", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL ")),
    ("JPEG 2000", re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51")),
    ("BigTIFF", re.compile(rb"II\+\x00|MM\x00\+")),
    ("Photoshop (PSD)", re.compile(rb"8BPS")),
    ("ICO", re.compile(rb"\x00\x00[\x01\x02]\x00[^\x00]\x00")),
    ("PostScript (EPS)", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
    (
        "SVG",
        re.compile(
            rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.{0,512}|<!--.{0,512})?"
            rb"(?:<!DOCTYPE\s+svg|<svg[\s>])",
            re.DOTALL | re.IGNORECASE,
        ),
    ),
)
_NO_IMAGES = (
    ("an empty file (0 bytes)", re.compile(rb"\Z")),
    ("a PDF document (application/pdf)", SIGNATURES["pdf"]),
    ("a ZIP archive (application/zip)", SIGNATURES["zip"]),
    ("gzip data (application/gzip)", SIGNATURES["gzip"]),
    ("a video (video/mp4)", re.compile(rb"....ftyp", re.DOTALL)),
    ("a video (video/webm)", re.compile(rb"\x1aE\xdf\xa3")),
    (
        "an HTML page (text/html)",
        re.compile(
            rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{0,512}-->\s*)?<(?:!DOCTYPE\s+html|html|head|body|script|"
            rb"title|meta|div|h1|p)\b",
            re.DOTALL | re.IGNORECASE,
        ),
    ),
    ("an XML document (text/xml)", re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml")),
    ("JSON (application/json)", re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]\s*[\"\]}\[{0-9]")),
    ("plain text (text/plain)", re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]{1,1024}\Z")),
)


def identify(data: bytes) -> str:
    """Return the format of an image that is decoded here: jpeg, png, webp, gif, tiff, bmp or avif,
    and heif where its decoder is installed.

    Raise ImageError `unsupported_format` for another image, `not_an_image` for anything else; both
    name what was found.
    """
    head = data[:HEAD]
    found = _first_match(_DECODED, head) or _compatible_avif(head)
    if found:
        return found
    if _HEIF.match(head) and has_heif_decoder():
        return "heif"
    other = _first_match(_OTHER_IMAGES, head)
    if other:
        raise ImageError("unsupported_format", f"The image is {other}")
    what = _first_match(_NO_IMAGES, head) or "data of an unknown kind"
    raise ImageError("not_an_image", f"The URL returns {what}")


@cache
def has_heif_decoder() -> bool:
    """Register the decoder of HEIC with Pillow; return whether it is installed."""
    try:
        plugin = import_module("pillow_heif")
    except ImportError:
        return False
    # One thread, because each core has a worker; and only the main picture.
    plugin.register_heif_opener(
        decode_threads=1, thumbnails=False, depth_images=False, aux_images=False
    )
    return True


def _first_match(table: tuple[tuple[str, re.Pattern[bytes]], ...], head: bytes) -> str | None:
    return next((name for name, pattern in table if pattern.match(head)), None)


def _compatible_avif(head: bytes) -> str | None:
    """Recognise an AVIF with a general major brand by its list of compatible brands."""
    if not _AVIF_COMPATIBLE.match(head):
        return None
    brands = head[16 : int.from_bytes(head[:4], "big")]
    return "avif" if b"avif" in brands or b"avis" in brands else None


# The most pixels of a side: as many as the headers of JPEG and GIF can state.
MAX_SIDE = 65_535
# Even the smallest frame takes some time and memory: as much as this many pixels.
MIN_FRAME_PIXELS = 4_096
# A GIF that stays one is processed frame by frame where its frames together exceed the limit. Its
# decoder and encoder then hold about this many of them.
HELD_FRAMES = 4
# The most pixels of all its frames, as a multiple of the limit: it takes about 150 ms per megapixel.
STREAMED_LIMITS = 5

_SHAPES: dict[str, Callable[[bytes], tuple[int, int, int]]] = {
    "png": png.size,
    "webp": webp.size,
    "gif": gif.size,
    "tiff": tiff.size,
    "heif": heic.size,
}
_COLOUR_CODES: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "avif": avif.colour_code,
    "heif": heif.colour_code,
}
_DECODABLE: dict[str, Callable[[bytes], bytes]] = {
    "png": png.decodable,
    "avif": avif.decodable,
    "heif": avif.decodable,
}


@dataclass(frozen=True)
class Source:
    """An image file whose format is known by its first bytes.

    Its properties are read once, on first access. That may raise ImageError, and whatever Pillow
    raises for a damaged header.
    """

    data: bytes
    format: str

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Return width, height and the number of frames, without decoding any.

        They are those that the decoder uses; if a file states two sizes, the larger one.
        """
        read = _SHAPES.get(self.format)
        if read:
            return read(self.data)
        if self.format == "jpeg":
            return *jpeg.size(self.segments, self.data), 1
        # Pillow counts the pages of a TIFF and the images of an MPO as frames; the first is taken.
        frames = getattr(self.image, "n_frames", 1) if self.format == "avif" else 1
        return self.image.width, self.image.height, frames

    @property
    def animated(self) -> bool:
        """Return whether there is more than one frame."""
        return self.shape[2] > 1

    def streamed(self, options: CompressOptions) -> bool:
        """Return whether the frames are too many to be held at once, and need not be.

        A GIF that becomes a JPEG needs its first frame alone.
        """
        if self.format != "gif" or prod(self.shape) <= options.max_pixels:
            return False
        return (
            options.format in ("keep", "jpeg") or options.format == "auto" and not options.formats
        )

    def held_pixels(self, options: CompressOptions) -> int:
        """Return how many pixels are in memory at once, counted in whole frames."""
        width, height, frames = self.shape
        if options.format == "jpeg":
            frames = 1
        return width * height * (min(frames, HELD_FRAMES) if self.streamed(options) else frames)

    @cached_property
    def image(self) -> Image.Image:
        """Return the lazy Pillow image, which only the decoder of this very format may read."""
        return self.opened()

    def opened(self) -> Image.Image:
        """Return a new image like `image`."""
        return Image.open(io.BytesIO(self._decodable()), formats=[self.format.upper()])

    def let_go(self) -> None:
        """Release the Pillow image: some decoders hold several more copies of its pixels."""
        self.__dict__.pop("image", None)

    @cached_property
    def segments(self) -> tuple[jpeg.Segment, ...]:
        """Return the segments of a JPEG, nothing for any other format."""
        return tuple(jpeg.segments(self.data)) if self.format == "jpeg" else ()

    def with_end(self) -> Source:
        """Return the file with the end marker that a JPEG may lack while no pixel is missing.

        libjpeg fills missing pixels with grey and only warns; libjpeg-turbo's warnings are errors
        in is_sound(), so that a file that was cut within its pixels stays as it is, and fails.
        """
        if self.format != "jpeg" or jpeg.has_end(self.segments):
            return self
        closed = self.data + jpeg.END
        return Source(closed, self.format) if is_sound(closed) else self

    @cached_property
    def colours(self) -> bytes | HighRange | None:
        """Return the file's description of its colours: an ICC profile, or their high range.

        Empty or None for sRGB. In a PNG a code takes precedence over a profile, elsewhere not.
        """
        profile: bytes | None = self.image.info.get("icc_profile")
        if self.format == "png" and (found := png.colours(self.data)) is not None:
            return found
        read = _COLOUR_CODES.get(self.format)
        if read and not profile:
            code = read(self.data)
            return from_cicp(*code) if code else None
        return profile

    @property
    def pixel_bytes(self) -> int:
        """Return how many bytes of a JPEG are compressed pixels; 0 where that is not known."""
        return jpeg.pixel_bytes(self.segments)

    def _decodable(self) -> bytes:
        if self.format == "jpeg":
            return jpeg.decodable(self.segments, self.data)
        return _DECODABLE.get(self.format, bytes)(self.data)


def inspect(data: bytes, options: CompressOptions) -> Source:
    """Identify an image and check its limits before anything is decoded.

    Frames count: width x height x frames may not exceed `max_pixels`, except for the frames of a
    GIF that need not be held at once. Raise ImageError; may also raise what Pillow raises on a
    damaged header.
    """
    source = Source(data, identify(data))
    width, height, frames = source.shape
    _check(width, height, frames, options, HELD_FRAMES if source.streamed(options) else frames)
    if source.format == "avif":
        # Only now, since this reads each frame.
        _check(*avif.coded_size(data), frames, options, frames)
    if source.format == "jpeg":
        jpeg.check_supported(source.segments, data)
        source = source.with_end()
    with decoder_errors(width * height):
        # libwebp takes memory for the canvas as it opens a file.
        opened = source.image.size
    if prod(opened) > width * height:
        raise ImageError("corrupt_image", "The image declares two different sizes")
    return source


def _check(width: int, height: int, frames: int, options: CompressOptions, held: int) -> None:
    """Raise ImageError where the frames, of which at most `held` are in memory, are too large."""
    if width < 1 or height < 1:
        raise ImageError("corrupt_image", f"The image is {width} x {height} pixels")
    if max(width, height) > MAX_SIDE:
        raise ImageError(
            "too_many_pixels",
            f"{_count(width, height, frames)}, and at most {MAX_SIDE} per side are accepted",
        )
    pixels = width * height
    if pixels * min(frames, held) > options.max_pixels or (
        pixels * frames > STREAMED_LIMITS * options.max_pixels
    ):
        raise ImageError("too_many_pixels", _count(width, height, frames))
    if frames > options.max_frames:
        raise ImageError(
            "too_many_frames",
            f"The image has {frames} frames, and at most {options.max_frames} are accepted",
        )
    if 1 < frames and frames * MIN_FRAME_PIXELS > options.max_pixels:
        raise ImageError(
            "too_many_frames",
            f"The image has {frames} frames, each of which counts"
            f" as {MIN_FRAME_PIXELS} pixels at least",
        )


def _count(width: int, height: int, frames: int) -> str:
    size = f"{width} x {height} pixels"
    return f"The image has {size}" + (f" in {frames} frames" if frames > 1 else "")
