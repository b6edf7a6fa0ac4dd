"""Definitions shared by all packages: a catalogue's options, URLs, columns, and types of files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# The compression options of an upload, or of a row of its CSV.
OPTION_NAMES = (
    "format",
    "quality",
    "compression_percentage",
    "max_width",
    "max_height",
    "effort",
    "formats",
    "min_score",
    "metadata",
)
OUTPUT_FORMATS = ("jpeg", "png", "webp", "avif")
FORMATS = ("keep", "auto", *OUTPUT_FORMATS)
# How much time an image may take: the fastest acceptable, the usual, or the best at any cost.
EFFORTS = ("low", "medium", "high")
# The metadata kept from a source: nothing, or its creator, owner and terms of use.
METADATA = ("none", "rights")
# The maximum width and height of a JPEG.
MAX_SIDE = 65_535
# The smallest and the largest value of each option that is a number. The quality is an encoder's,
# the percentage is the share of bytes to save, the score is that of imaging/score.py.
BOUNDS = {
    "quality": (1, 95),
    "compression_percentage": (1, 95),
    "max_width": (1, MAX_SIDE),
    "max_height": (1, MAX_SIDE),
    "min_score": (1, 95),
}
# The lowest score, 0 to 100, of each rating.
RATINGS = {"visually lossless": 90, "high": 70, "medium": 50, "low": 0}


def rating_of(score: float) -> str:
    """Return the rating of a score."""
    return next(word for word, least in RATINGS.items() if score >= least)


# The longest URL that browsers and proxies accept.
MAX_URL_CHARS = 8_192
DEFAULT_PORTS = {"http": 80, "https": 443}


# The images of an upload by columns, on their way from the file to the ledger; this takes a tenth
# of the time of a tuple for each image. Row numbers, positions, serial numbers, product names,
# URLs, a row's own options in place of the job's, and output names.
ImageColumns = tuple[
    Sequence[int],
    Sequence[int],
    Sequence[str],
    Sequence[str],
    Sequence[str],
    Sequence[dict[str, Any] | None],
    Sequence[str | None],
]


# The magic bytes by which images, tables and archives are recognised.
SIGNATURES = {
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "gif": re.compile(rb"GIF8[79]a"),
    "tiff": re.compile(rb"II\*\x00|MM\x00\*"),
    "pdf": re.compile(rb"%PDF-"),
    "zip": re.compile(rb"PK\x03\x04"),
    "gzip": re.compile(rb"\x1f\x8b"),
}
# The extensions of image files in a folder, with the format of each.
ENDINGS = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".gif": "gif",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
    ".avif": "avif",
}
