"""The options of compression of an upload or a row of its CSV, and the words for its results."""

from __future__ import annotations

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
# How much time an image may take: the fastest that is good, the usual, the best at any cost.
EFFORTS = ("low", "medium", "high")
# What is kept of a source's metadata: nothing, or who made it, who owns it, and how it may be used.
METADATA = ("none", "rights")
# No JPEG is wider or higher than this.
MAX_SIDE = 65_535
# The smallest and the largest value of each option that is a number. The quality is that of an
# encoder, the percentage the share of the bytes that is saved, the score that of imaging/score.py.
BOUNDS = {
    "quality": (1, 95),
    "compression_percentage": (1, 95),
    "max_width": (1, MAX_SIDE),
    "max_height": (1, MAX_SIDE),
    "min_score": (1, 95),
}
# The least score, 0 to 100, that a word stands for.
RATINGS = {"visually lossless": 90, "high": 70, "medium": 50, "low": 0}


def rating_of(score: float) -> str:
    """Return the word for a score."""
    return next(word for word, least in RATINGS.items() if score >= least)
