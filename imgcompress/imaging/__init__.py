"""Compress one image to a promised share of its bytes, at the highest quality that gets there."""

from .compressor import compress
from .jpeg_engine import missing_engine
from .options import EXTENSIONS, Compressed, CompressOptions

__all__ = ["EXTENSIONS", "CompressOptions", "Compressed", "compress", "missing_engine"]
