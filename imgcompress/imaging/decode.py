"""Decode an image to the pixels that are encoded: frames, size, mode and colours."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, JpegImagePlugin

from .colours import HighRange, tone_mapped
from .containers.jpeg import is_plain
from .containers.webp import only_frame
from .options import CompressOptions
from .probe import Source
from .resizing import resized
from .turbo import MODES, Pixels, decoded, viewed

_BYTES_OF_RGBX = 4


def decoded_webp(opened: Image.Image, data: bytes) -> Image.Image | None:
    """Return the pixels of the WebP that Pillow has opened from this data, with its metadata.

    The mode is RGBX or RGBA. None for more than one frame, for damaged files, and where libwebp
    cannot be called: Pillow decides in doubt. It decodes every WebP as an animation: two canvases, a
    copy of one, and the image, 16 bytes per pixel. libwebp's call for a still image writes the pixels
    to their final place, in a third of the memory. It is called by ctypes in the library that Pillow
    has loaded, and its interface has been the same since version 0.1.
    """
    frame, library = only_frame(data), _libwebp()
    if frame is None or library is None:
        return None
    width, height = ctypes.c_int(), ctypes.c_int()
    if not library.WebPGetInfo(
        frame.data, len(frame.data), ctypes.byref(width), ctypes.byref(height)
    ):
        return None
    fits = frame.left + width.value <= opened.width and frame.top + height.value <= opened.height
    if (width.value, height.value) != (frame.width, frame.height) or not fits:
        return None
    # Outside a frame that is smaller than its canvas, everything is clear, or black.
    pixels = np.zeros((opened.height, opened.width, _BYTES_OF_RGBX), np.uint8)
    frame_pixels = pixels[frame.top :, frame.left :]
    offset = (frame.top * opened.width + frame.left) * _BYTES_OF_RGBX
    if not library.WebPDecodeRGBAInto(
        frame.data,
        len(frame.data),
        frame_pixels.ctypes.data,
        pixels.nbytes - offset,
        opened.width * _BYTES_OF_RGBX,
    ):
        return None
    # The fourth byte of an opaque image has no meaning.
    mode = "RGBA" if opened.mode == "RGBA" else "RGBX"
    image = Image.frombuffer(mode, opened.size, pixels, "raw", mode, 0, 1)
    image.info = dict(opened.info)
    return image


@lru_cache(maxsize=1)
def _libwebp() -> ctypes.CDLL | None:
    """Return libwebp as Pillow's own module finds it."""
    spec = find_spec("PIL._webp")
    try:
        library = ctypes.CDLL(spec.origin if spec else None)
        info, decode = library.WebPGetInfo, library.WebPDecodeRGBAInto
    except (OSError, AttributeError):
        return None
    pointer = ctypes.POINTER(ctypes.c_int)
    info.argtypes = [ctypes.c_char_p, ctypes.c_size_t, pointer, pointer]
    info.restype = ctypes.c_int
    decode.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
    ]
    decode.restype = ctypes.c_void_p
    return library


class StreamedFrames(Sequence[Image.Image]):
    """Frames that are decoded again on each iteration, so that they are never all in memory.

    An index or a slice decodes all frames before it. The first frame, which is needed most often,
    is kept.
    """

    def __init__(self, count: int, decoded: Callable[[], Iterator[Image.Image]]) -> None:
        self._count, self._decoded = count, decoded
        self._first: Image.Image | None = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Image.Image]:
        return islice(self._decoded(), self._count)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...

    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        if isinstance(index, slice):
            return list(islice(self, *index.indices(self._count)))
        if index == 0 and self._first is not None:
            return self._first
        frame = next(islice(self, range(self._count)[index], None))
        if index == 0:
            self._first = frame
        return frame

    def mapped(self, change: Callable[[Image.Image], Image.Image]) -> StreamedFrames:
        """Return the frames, with `change` applied to each as it is decoded."""
        return StreamedFrames(self._count, lambda: map(change, self._decoded()))


_PLAIN = ("L", "LA", "RGB", "RGBA", "CMYK")
_WITH_ALPHA = {"1": "LA", "L": "LA", "LA": "LA"}


def to_plain(image: Image.Image) -> Image.Image:
    """Return the image in a plain mode; transparency of any kind becomes an alpha band."""
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep(image)
    if image.mode == "LAB":
        return _from_lab(image)
    if image.has_transparency_data and image.mode != "RGBA":
        return _drop_opaque(image.convert(_WITH_ALPHA.get(image.mode, "RGBA")))
    if image.mode in ("LA", "RGBA"):
        return _drop_opaque(image)
    if image.mode in _PLAIN:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _drop_opaque(image: Image.Image) -> Image.Image:
    """Drop an alpha band that is fully opaque."""
    lowest, _ = image.getchannel("A").getextrema()
    return image.convert(image.mode[:-1]) if lowest == 255 else image


def _from_deep(image: Image.Image) -> Image.Image:
    """Scale grey values of more than 8 bits to 8; clipping would turn them white.

    I;16 has a known range. Files with 32-bit integers or floats do not state theirs; it is taken
    from the largest value: 1 (floats), 8 bits, 16 bits, or else from the darkest to the lightest.
    """
    pixels = np.asarray(image).astype(np.float32)
    if image.mode.startswith("I;16"):
        return _grey(pixels * (255 / 65535))
    pixels = np.nan_to_num(pixels, posinf=0, neginf=0)
    low, high = float(pixels.min()), float(pixels.max())
    for top in ((1.0,) if image.mode == "F" else ()) + (255.0, 65535.0):
        if 0 <= low and high <= top:
            return _grey(pixels * (255 / top))
    return _grey((pixels - low) * (255 / (high - low)))


def _grey(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _from_lab(image: Image.Image) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None  # None is only for conversions in place.
    return converted


MAX_PROFILE_BYTES = 4 << 20
# A profile whose conversion moves no colour by more than this many of 255 is sRGB under any name.
SAME_COLOUR = 2
_SPACES = {"L": "GRAY", "RGB": "RGB ", "RGBA": "RGB ", "CMYK": "CMYK"}
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the image (mode L, LA, RGB, RGBA or CMYK) in sRGB, with its alpha band unchanged.

    A profile that is broken or belongs to another colour space is ignored, as browsers do.
    """
    if image.mode == "LA":
        grey = to_srgb(image.getchannel("L"), profile)
        grey.putalpha(image.getchannel("A"))
        return grey
    transform = conversion(profile, image.mode) if profile else None
    if transform is None:
        return image.convert("RGB") if image.mode == "CMYK" else image
    converted = transform.apply(image)
    return converted.convert("L") if image.mode == "L" else converted


@lru_cache(maxsize=8)
def conversion(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from this profile to sRGB, None if there is nothing to convert.

    Cached, because the images of one shop or camera share their profile.
    """
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != _SPACES.get(mode):
            return None
        transform = ImageCms.ImageCmsTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGBA" if mode == "RGBA" else "RGB",
            _INTENT,
            flags=_FLAGS,
        )
        return None if _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Try the transform on a cube of 6 x 6 x 6 colours (the greys, for L)."""
    if mode == "CMYK":
        return False
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(6, 36, 3)
    colours = Image.fromarray(cube)
    before = colours.convert("L").convert("RGB") if mode == "L" else colours
    after = transform.apply(colours.convert(mode)).convert("RGB")
    difference = np.asarray(before, dtype=np.int16) - np.asarray(after, dtype=np.int16)
    return int(np.abs(difference).max()) <= SAME_COLOUR


# The values of the EXIF tag Orientation (CIPA DC-008, 4.6.4) and what makes the image upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112
# Where Pillow looks for it in a JPEG; a search for nothing costs as much as all other headers.
_HAVE_ORIENTATION = {"exif", "xmp"}


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if there is none or it cannot be read."""
    if image.format == "JPEG" and not _HAVE_ORIENTATION & image.info.keys():
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Any error in metadata, which are dropped anyway.
        return 1
    return value if value in UPRIGHT else 1


def fitted_size(size: tuple[int, int], turn: int, options: CompressOptions) -> tuple[int, int]:
    """Return the size, in the orientation of `size`, that fits the box of the upright image."""
    box = (options.max_width, options.max_height)
    if turn >= 5:
        box = (options.max_height, options.max_width)
    scale = min([1.0] + [limit / side for limit, side in zip(box, size) if limit])
    if scale == 1.0:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def upright(image: Image.Image, turn: int) -> Image.Image:
    """Return the image turned upright, by its EXIF orientation."""
    return image.transpose(UPRIGHT[turn]) if turn in UPRIGHT else image


# The JPEG decoder may reduce while it decodes, down to this multiple of the wanted size; the rest
# is resampled, because the decoder's own reduction is a coarse one.
DRAFT_GAP = 2
# Formats whose decoder lives as long as its image and holds two more copies of the pixels.
_KEEP_DECODER = ("WEBP", "AVIF", "HEIF")
# The longest duration of a frame that all animation formats support, in milliseconds (APNG's 16
# bits).
MAX_DURATION = 65_535


@dataclass(frozen=True)
class Picture:
    """Decoded pixels: frames in mode L, LA, RGB or RGBA, all of one size and mode.

    `durations` are milliseconds per frame; `loop` is how often an animation plays, 0 means forever,
    None where the file does not say. `untouched` means that the pixels were not turned, resized or
    converted, so that the file's own compressed data show the same; `in_place`, that they were not
    turned or resized. `source_pixels` counts those of one frame before resizing. `quantization` and
    `subsampling` are those of a JPEG, the latter as Pillow counts: 0 is 4:4:4, 1 is 4:2:2, 2 is
    4:2:0. `pixels` are those of a plain JPEG that becomes a JPEG as it is (turbo.py); its only
    frame shows them, in mode L or RGBX.
    """

    frames: Sequence[Image.Image]
    untouched: bool
    source_pixels: int
    durations: tuple[int, ...] = ()
    loop: int | None = None
    quantization: dict[int, list[int]] = field(default_factory=dict)
    subsampling: int = 0
    pixels: Pixels | None = None
    in_place: bool = False

    @property
    def first(self) -> Image.Image:
        """Return the first frame."""
        return self.frames[0]

    @property
    def has_alpha(self) -> bool:
        """Return whether any pixel is not opaque."""
        return self.first.mode in ("LA", "RGBA")

    def on_white(self) -> Picture:
        """Return the picture with only its first frame, on white."""
        if not self.has_alpha:
            return self
        rgba = self.first.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        flat = Image.alpha_composite(white, rgba).convert("RGB")
        return replace(self, frames=[flat], untouched=False)

    @property
    def animated(self) -> bool:
        """Return whether there is more than one frame."""
        return len(self.frames) > 1


def decode(source: Source, options: CompressOptions, *, animated: bool) -> Picture:
    """Return the pixels of the image; all frames if `animated`, else only the first.

    May raise any error of Pillow; imaging/errors.py classifies them.
    """
    with source.image as opened:
        still = decoded_webp(opened, source.data) if source.format == "webp" else None
        image: Image.Image = still or opened
        is_jpeg = source.format == "jpeg"
        if not is_jpeg:
            # Pillow turns a TIFF upright as it loads.
            image.load()
        turn, source_size = orientation(image), image.size
        size = fitted_size(source_size, turn, options)
        in_place = size == source_size and turn == 1
        fine = options.effort == "high"
        if is_jpeg and size != source_size:
            if not fine:
                image.draft(None, (size[0] * DRAFT_GAP, size[1] * DRAFT_GAP))
        elif is_jpeg and turn == 1 and (plain := _plain(image, source, options)):
            return plain
        image.load()
        frames: Sequence[Image.Image]
        if source.streamed(options) and animated:
            frames, durations = _streamed(source, image, size, fine)
        else:
            frames, durations = [], []
            for frame in _frames(image) if animated else iter((image,)):
                frames.append(_normalised(frame, size, turn, source.colours, fine))
                durations.append(_duration(frame))
            frames = _of_one_mode(frames)
        return Picture(
            frames=frames,
            untouched=in_place and _is_srgb(image, frames[0].mode, source.colours),
            in_place=in_place,
            source_pixels=source_size[0] * source_size[1],
            durations=tuple(durations),
            loop=image.info.get("loop"),
            quantization=getattr(image, "quantization", {}),
            subsampling=JpegImagePlugin.get_sampling(image) if is_jpeg else 0,
        )


def _plain(image: Image.Image, source: Source, options: CompressOptions) -> Picture | None:
    """Return the picture of a plain JPEG that stays one; None if Pillow has to decode it."""
    if options.format not in ("keep", "jpeg") or not is_plain(source.segments):
        return None
    if image.mode not in MODES or not _is_srgb(image, image.mode, source.colours):
        return None
    pixels = decoded(source.data, image.mode, image.size)
    if pixels is None:
        return None
    return Picture(
        [viewed(pixels)],
        untouched=True,
        source_pixels=image.width * image.height,
        quantization=getattr(image, "quantization", {}),
        subsampling=JpegImagePlugin.get_sampling(image),
        pixels=pixels,
    )


def _frames(image: Image.Image) -> Iterator[Image.Image]:
    """Yield each frame, decoded, but not the still image that an APNG shows to old browsers."""
    first = 1 if getattr(image, "default_image", False) else 0
    for number in range(first, getattr(image, "n_frames", 1)):
        image.seek(number)
        image.load()
        yield image


def _streamed(
    source: Source, image: Image.Image, size: tuple[int, int], fine: bool
) -> tuple[StreamedFrames, list[int]]:
    """Return the frames of a GIF, which is never turned, without holding them; and durations."""
    durations, modes = [], set()
    for frame in _frames(image):
        durations.append(_duration(frame))
        modes.add(_normalised(frame, size, 1, None, fine).mode)
    mode = _mode_for(modes)

    def decoded() -> Iterator[Image.Image]:
        with source.opened() as opened:
            for frame in _frames(opened):
                normalised = _normalised(frame, size, 1, None, fine)
                yield normalised if normalised.mode == mode else normalised.convert(mode)

    return StreamedFrames(len(durations), decoded), durations


def _duration(frame: Image.Image) -> int:
    duration = round(float(frame.info.get("duration", 0)))
    return min(MAX_DURATION, max(0, duration))


def _normalised(
    image: Image.Image,
    size: tuple[int, int],
    turn: int,
    colours: bytes | HighRange | None,
    fine: bool,
) -> Image.Image:
    plain = to_plain(image)
    if plain is image and (image.format in _KEEP_DECODER or getattr(image, "is_animated", False)):
        plain = image.copy()
    # The levels of a high range have another curve than sRGB; those of a profile have about the
    # same.
    plain = resized(plain, size, linear=not isinstance(colours, HighRange), fine=fine)
    if isinstance(colours, HighRange):
        plain = tone_mapped(plain, colours)
    else:
        plain = to_srgb(plain, colours)
    plain = upright(plain, turn)
    # Pillow's encoders write some of what they find here: comments, profiles, resolutions.
    plain.info = {}
    return plain


def _is_srgb(image: Image.Image, plain_mode: str, colours: bytes | HighRange | None) -> bool:
    if isinstance(colours, HighRange) or image.mode == "CMYK":
        return False
    mode = "L" if plain_mode == "LA" else plain_mode
    return not colours or conversion(colours, mode) is None


def _of_one_mode(frames: list[Image.Image]) -> list[Image.Image]:
    mode = _mode_for({frame.mode for frame in frames})
    return [frame if frame.mode == mode else frame.convert(mode) for frame in frames]


def _mode_for(modes: set[str]) -> str:
    if len(modes) == 1:
        return min(modes)
    return "RGBA" if modes & {"LA", "RGBA"} else "RGB"
