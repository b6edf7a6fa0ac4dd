"""Compress JPEGs without decoding them to pixels, by requantising their coefficients.

The engine itself is the C library in core/, which is optional: if it is not built, or cannot
process an image, the image is decoded to pixels. docs/jpeg-engine.md explains and measures it.
"""

from .library import missing_engine
from .recompress import recompressed

__all__ = ["missing_engine", "recompressed"]
