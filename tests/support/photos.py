"""Real photos in several formats, and how alike two images look."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

SAMPLES = Path(__file__).parent.parent.parent / "samples"


def sample(name: str) -> bytes:
    """Return the bytes of a sample photo."""
    return (SAMPLES / name).read_bytes()


def webp_photo() -> bytes:
    """Return a sample photo as WebP of high quality."""
    with Image.open(SAMPLES / "chelsea.png") as photo:
        file = io.BytesIO()
        photo.save(file, "WEBP", quality=95)
        return file.getvalue()


def difference(first: bytes, second: bytes) -> float:
    """Return the mean absolute difference of two images of one size, in levels of 255."""
    with Image.open(io.BytesIO(first)) as one, Image.open(io.BytesIO(second)) as other:
        apart = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
        return sum(ImageStat.Stat(apart).mean) / 3
