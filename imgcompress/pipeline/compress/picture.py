"""Decode an image file to upright sRGB pixels of 8 bits, at the size that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from PIL import Image, JpegImagePlugin

from .colour import conversion, to_srgb
from .fit import fitted_size, orientation, resized, upright
from .modes import to_plain
from .options import CompressOptions
from .source import Source
from .structure.jpeg import is_plain
from .turbo import MODES, Pixels, decoded, viewed

# The JPEG decoder may reduce while it decodes, down to this multiple of the wanted size; the rest
# is resampled, because the decoder's own reduction is a coarse one.
DRAFT_GAP = 2
# Formats whose decoder lives as long as its image and holds two more copies of the pixels.
_KEEP_DECODER = ("WEBP", "AVIF")
# The longest a frame can stay, in milliseconds, in every format of animation (APNG's 16 bits).
MAX_DURATION = 65_535


@dataclass(frozen=True)
class Picture:
    """Decoded pixels: frames in mode L, LA, RGB or RGBA, all of one size and mode.

    `durations` are milliseconds per frame; `loop` is how often an animation plays, 0 for ever,
    None where the file does not say. `untouched` tells that the pixels were not turned, resized
    or converted, so that the file's own compressed data show the same. `source_pixels` counts
    those of one frame before resizing. `quantization` and `subsampling` are those of a JPEG, the
    latter as Pillow counts: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0. `pixels` are those of a plain JPEG
    that becomes a JPEG as it is (turbo.py); its only frame shows them, in mode L or RGBX.
    """

    frames: list[Image.Image]
    untouched: bool
    source_pixels: int
    durations: tuple[int, ...] = ()
    loop: int | None = None
    quantization: dict[int, list[int]] = field(default_factory=dict)
    subsampling: int = 0
    pixels: Pixels | None = None

    @property
    def first(self) -> Image.Image:
        """Return the first frame."""
        return self.frames[0]

    @property
    def has_alpha(self) -> bool:
        """Tell whether any pixel is not solid."""
        return self.first.mode in ("LA", "RGBA")

    def on_white(self) -> Picture:
        """Return the picture with its first frame alone, and white where it was clear."""
        if not self.has_alpha:
            return self
        rgba = self.first.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        flat = Image.alpha_composite(white, rgba).convert("RGB")
        return replace(self, frames=[flat], untouched=False)

    @property
    def animated(self) -> bool:
        """Tell whether there is more than one frame."""
        return len(self.frames) > 1


def decode(source: Source, options: CompressOptions, *, animated: bool) -> Picture:
    """Return the pixels of the image; all frames if `animated`, else the first alone.

    May raise whatever Pillow raises; faults.py knows what it means.
    """
    with source.image as image:
        is_jpeg = source.format == "jpeg"
        if not is_jpeg:
            # Pillow turns a TIFF upright as it loads, and a PNG may have its EXIF at its end.
            image.load()
        turn, source_size = orientation(image), image.size
        size = fitted_size(source_size, turn, options)
        if is_jpeg and size != source_size:
            image.draft(None, (size[0] * DRAFT_GAP, size[1] * DRAFT_GAP))
        elif is_jpeg and turn == 1 and (plain := _plain(image, source, options)):
            return plain
        image.load()
        frames, durations = [], []
        for frame in _frames(image) if animated else iter((image,)):
            frames.append(_normalised(frame, size, turn))
            durations.append(_duration(frame))
        return Picture(
            frames=_of_one_mode(frames),
            untouched=size == source_size and turn == 1 and _is_srgb(image, frames[0].mode),
            source_pixels=source_size[0] * source_size[1],
            durations=tuple(durations),
            loop=image.info.get("loop"),
            quantization=getattr(image, "quantization", {}),
            subsampling=JpegImagePlugin.get_sampling(image) if is_jpeg else 0)


def _plain(image: Image.Image, source: Source, options: CompressOptions) -> Picture | None:
    """Return the picture of a plain JPEG that stays one; None where Pillow has to decode it."""
    if options.format not in ("keep", "jpeg") or not is_plain(source.segments):
        return None
    if image.mode not in MODES or not _is_srgb(image, image.mode):
        return None
    pixels = decoded(source.data, image.mode, image.size)
    if pixels is None:
        return None
    return Picture([viewed(pixels)], untouched=True, source_pixels=image.width * image.height,
                   quantization=getattr(image, "quantization", {}),
                   subsampling=JpegImagePlugin.get_sampling(image), pixels=pixels)


def _frames(image: Image.Image) -> Iterator[Image.Image]:
    """Yield each frame, decoded, but not the still image that an APNG shows to old browsers."""
    first = 1 if getattr(image, "default_image", False) else 0
    for number in range(first, getattr(image, "n_frames", 1)):
        image.seek(number)
        image.load()
        yield image


def _duration(frame: Image.Image) -> int:
    duration = round(float(frame.info.get("duration", 0)))
    return min(MAX_DURATION, max(0, duration))


def _normalised(image: Image.Image, size: tuple[int, int], turn: int) -> Image.Image:
    profile = image.info.get("icc_profile")
    plain = to_plain(image)
    if plain is image and (image.format in _KEEP_DECODER or getattr(image, "is_animated", False)):
        plain = image.copy()
    plain = upright(to_srgb(resized(plain, size), profile), turn)
    # Pillow's encoders write some of what they find here: comments, profiles, resolutions.
    plain.info = {}
    return plain


def _is_srgb(image: Image.Image, plain_mode: str) -> bool:
    profile = image.info.get("icc_profile")
    mode = "L" if plain_mode == "LA" else plain_mode
    return image.mode != "CMYK" and (not profile or conversion(profile, mode) is None)


def _of_one_mode(frames: list[Image.Image]) -> list[Image.Image]:
    modes = {frame.mode for frame in frames}
    if len(modes) == 1:
        return frames
    mode = "RGBA" if modes & {"LA", "RGBA"} else "RGB"
    return [frame if frame.mode == mode else frame.convert(mode) for frame in frames]
