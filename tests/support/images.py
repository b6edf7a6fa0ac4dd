"""Images for tests, and how two of them are compared."""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@lru_cache
def photo(width: int = 240, height: int = 160) -> Image.Image:
    """Return a real photo in RGB; every corner of it looks different."""
    with Image.open(SAMPLES / "coffee.png") as image:
        return bare(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))


def bare(image: Image.Image) -> Image.Image:
    image.info = {}
    return image


def drawing(width: int = 200, height: int = 120) -> Image.Image:
    """Return a flat drawing of few colours."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 90, 100), fill=(200, 30, 30))
    draw.ellipse((80, 30, 180, 110), fill=(20, 60, 180), outline="black")
    return image


def cutout(width: int = 240, height: int = 160) -> Image.Image:
    """Return the photo with a soft round edge on a clear ground, as shops cut their products."""
    image = photo(width, height).convert("RGBA")
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot((x - width / 2) / width, (y - height / 2) / height)
    alpha = np.clip((0.45 - distance) * 3000, 0, 255).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    return image


def frames(count: int = 6, width: int = 96, height: int = 64) -> list[Image.Image]:
    """Return the frames of an animation: a square that moves over a photo."""
    result = []
    for number in range(count):
        frame = photo(width, height).copy()
        ImageDraw.Draw(frame).rectangle((8 * number, 10, 8 * number + 20, 30), fill="red")
        result.append(frame)
    return result


def encoded(image: Image.Image, format: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **settings)
    return file.getvalue()


def animated(format: str, images: list[Image.Image], **settings: Any) -> bytes:
    return encoded(images[0], format, save_all=True, append_images=images[1:], **settings)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def bmp_with_alpha(image: Image.Image) -> bytes:
    """Return a BMP with a V4 header, which has a mask for alpha; Pillow cannot write one."""
    pixels = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
    header = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = (header + masks).ljust(108, b"\0")
    return struct.pack("<2sIII", b"BM", 122 + len(pixels), 0, 122) + header + pixels


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean absolute difference of two images as they look on white, 0 to 255."""
    assert one.size == other.size
    pixels = [np.asarray(on_white(image), dtype=np.int16) for image in (one, other)]
    return float(np.abs(pixels[0] - pixels[1]).mean())


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
