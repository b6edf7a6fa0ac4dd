"""From JPEG to JPEG without pixels: coefficients are requantised where they are.

The engine itself is the C library in core/, which is optional: where it is not built, or leaves an
image to others, images go by way of pixels. docs/jpeg-engine.md explains and measures it.
"""

from .library import missing_engine
from .recompress import recompressed

__all__ = ["missing_engine", "recompressed"]
