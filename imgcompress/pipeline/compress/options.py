"""What a caller may ask of one compression."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CompressOptions:
    """How one image is to be compressed.

    `compression_percentage` is the share of the input's bytes to be saved, 1 to 95; `quality`
    (1 to 95) replaces that search with a fixed quality. `format` is keep, jpeg, png, webp or avif.
    `max_width` and `max_height` are pixels of the upright image; nothing is ever enlarged.
    `min_quality` is the floor of the search on the JPEG scale; `max_pixels` counts width x height
    x frames, and `max_frames` the frames alone. `smallest` spends several times the time for the
    last few per cent of the bytes. `jpeg_engine` lets JPEGs that stay JPEGs be compressed without a
    look at their pixels.
    """

    compression_percentage: int = 50
    quality: int | None = None
    format: str = "keep"
    max_width: int | None = None
    max_height: int | None = None
    min_quality: int = 30
    max_pixels: int = 50_000_000
    max_frames: int = 2_000
    smallest: bool = False
    jpeg_engine: bool = True

    def budget(self, source_bytes: int) -> int:
        """Return the most bytes that an output may have to keep the promise."""
        return source_bytes * (100 - self.compression_percentage) // 100
